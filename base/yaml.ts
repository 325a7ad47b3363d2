import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import { requireWhole } from './require-whole.js';

const require = createRequire(import.meta.url);

/** The YAML library. It takes 20 ms to load: the first who needs it loads it, and the next when it could not be loaded then. */
export const loadYaml = (): typeof Yaml => requireWhole(require, 'yaml') as typeof Yaml;
