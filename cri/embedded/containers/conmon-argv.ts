import type { RuntimeContext } from '../context.js';
import type { ContainerEntry } from '../state/container-entry.js';

/** conmon's command line for a container: CRI log, exit file, attach socket and control FIFO in the bundle. */
export function conmonArgv(context: RuntimeContext, entry: ContainerEntry): [string, ...string[]] {
  const { id, record } = entry;
  const argv: [string, ...string[]] = [
    context.options.conmonPath,
    ...conmonCommon(context, record.ociRuntime, id, context.layout.bundle(id)),
    '--cuuid',
    id,
    '--name',
    record.metadata.name,
    '--exit-dir',
    context.layout.exits,
    '--log-path',
    // conmon takes "none" for a container that keeps no log.
    record.logPath === '' ? 'none:' : `k8s-file:${record.logPath}`,
  ];
  if (record.tty) argv.push('--terminal');
  if (record.stdin) {
    argv.push('--stdin');
    if (!record.stdinOnce) argv.push('--leave-stdin-open');
  }
  return argv;
}

/** What a container's and an exec's conmon have in common; `folder` takes its pid files, FIFOs and the attach socket. */
export function conmonCommon(context: RuntimeContext, ociRuntime: string, id: string, folder: string): string[] {
  const argv = [
    '--api-version',
    '1',
    '--cid',
    id,
    '--runtime',
    ociRuntime,
    '--bundle',
    folder,
    '--container-pidfile',
    `${folder}/pidfile`,
    '--conmon-pidfile',
    `${folder}/conmon.pid`,
    '--full-attach',
    // The log is closed at the container's end all the same; a sync of it per container is what a burst of ends waits for.
    '--no-sync-log',
    '--log-level',
    'warning',
    '--runtime-arg',
    '--root',
    '--runtime-arg',
    context.ociRoot(ociRuntime),
  ];
  if (context.systemdCgroup) argv.push('--systemd-cgroup');
  return argv;
}
