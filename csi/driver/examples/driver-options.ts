import { parseArgs } from 'node:util';
import { join, resolve } from 'node:path';

export interface DriverOptions {
  readonly name: string;
  readonly nodeId: string;
  /** Where the volumes are kept. */
  readonly folder: string;
  readonly socket: string;
  /** The kubelet's `plugins_registry`; no registration when undefined. */
  readonly registry: string | undefined;
  /** What the driver offers: switch parts off to see how an agent works without them. */
  readonly controller: boolean;
  readonly attach: boolean;
  readonly stage: boolean;
  readonly mountGroup: boolean;
  readonly maxVolumes: number;
}

export const usage = `usage: main.js --folder DIR [--name NAME] [--node-id ID] [--socket PATH] [--registry DIR]
               [--no-controller] [--no-stage] [--attach] [--mount-group] [--max-volumes N]
The file named by EXAMPLE_CSI_FAULTS switches faults on, see faults.ts.`;

export function parseDriverOptions(argv: readonly string[]): DriverOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      folder: { type: 'string' },
      name: { type: 'string', default: 'folder.csi.example.com' },
      'node-id': { type: 'string', default: 'node' },
      socket: { type: 'string' },
      registry: { type: 'string' },
      'no-controller': { type: 'boolean', default: false },
      'no-stage': { type: 'boolean', default: false },
      attach: { type: 'boolean', default: false },
      'mount-group': { type: 'boolean', default: false },
      'max-volumes': { type: 'string', default: '0' },
    },
  });
  if (values.folder === undefined) throw new Error('--folder is missing');
  const folder = resolve(values.folder);
  return {
    name: values.name,
    nodeId: values['node-id'],
    folder,
    socket: values.socket === undefined ? join(folder, 'csi.sock') : resolve(values.socket),
    registry: values.registry === undefined ? undefined : resolve(values.registry),
    controller: !values['no-controller'],
    attach: values.attach,
    stage: !values['no-stage'],
    mountGroup: values['mount-group'],
    maxVolumes: Number(values['max-volumes']),
  };
}
