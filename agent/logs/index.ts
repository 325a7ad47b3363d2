export { LogFiles, type LogPlace } from './log-files.js';
export { podLogFolder, PodLogFolders, type PodLogOptions } from './pod-log-folders.js';
export { readContainerLog, type ReadLogOptions } from './read-container-log.js';
