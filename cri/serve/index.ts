export { serveCri, type CriServer, type ServeCriDeps, type ServeCriOptions } from './serve-cri.js';
