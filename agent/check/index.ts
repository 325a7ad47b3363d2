export { checkHost, hasLack, packagesToInstall, renderCheck, type CheckGroup } from './check-host.js';
export type { Finding } from './finding.js';
export { realHost, type Host } from './host.js';
