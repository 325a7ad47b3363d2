import type * as v1 from '../../proto/generated/cri-v1.js';
import { criError } from '../contract/cri-error.js';

/** Docker's words for the namespaces of a sandbox's own container. */
export function sandboxModes(options: v1.NamespaceOption): Record<'NetworkMode' | 'IpcMode' | 'PidMode', string> {
  return {
    NetworkMode: options.network === 'NODE' ? 'host' : 'none',
    IpcMode: options.ipc === 'NODE' ? 'host' : 'shareable',
    PidMode: options.pid === 'NODE' ? 'host' : '',
  };
}

/** A container joins what the sandbox holds; its hostname comes with the network, as Docker cannot share UTS namespaces. */
export function containerModes(
  options: v1.NamespaceOption,
  sandbox: v1.NamespaceOption,
  sandboxId: string,
): Record<'NetworkMode' | 'IpcMode' | 'PidMode' | 'UTSMode', string> {
  const joined = `container:${sandboxId}`;
  return {
    NetworkMode: sandbox.network === 'NODE' ? 'host' : joined,
    IpcMode: sandbox.ipc === 'NODE' ? 'host' : joined,
    PidMode: pidMode(options, joined),
    UTSMode: sandbox.network === 'NODE' ? 'host' : '',
  };
}

function pidMode(options: v1.NamespaceOption, joined: string): string {
  switch (options.pid ?? 'POD') {
    case 'POD':
      return joined;
    case 'NODE':
      return 'host';
    case 'TARGET':
      if (!options.targetId) throw criError('invalid-argument', 'create container: pid TARGET without target_id');
      return `container:${options.targetId}`;
    case 'CONTAINER':
      return '';
  }
}
