export { parseLogLine } from './cri-log-line.js';
export { LineSplitter } from './line-splitter.js';
export { LogFiles, type LogPlace } from './log-files.js';
export { podLogFolder, PodLogFolders, type PodLogOptions } from './pod-log-folders.js';
export { readContainerLog, type ReadLogOptions } from './read-container-log.js';
