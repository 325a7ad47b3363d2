export * from './registration/index.js';
export * from './flexvolume/index.js';
export * from './driver/index.js';
export type { DriverCall } from './wire/calls-under-way.js';
