import type { MachineFacts } from '../../../agent/stats/index.js';

/** As one may look; it changes nothing about the cost. */
export const someMachine: MachineFacts = {
  ...{ cpus: 2, cores: 2, sockets: 1, memoryBytes: 2 ** 34, swapBytes: 0 },
  ...{ machineId: 'm', systemUuid: 's', bootId: 'b', kernel: '6.1', osImage: 'Debian' },
};
