export { openNotifier, type NotifyOptions, type ServiceNotifier } from './sd-notify.js';
