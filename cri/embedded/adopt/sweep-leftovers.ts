import { existsSync, readdirSync, rmSync } from 'node:fs';
import { killCgroupsOf } from '../containers/kill-container.js';
import { unmountAll } from '../containers/container-mounts.js';
import { undoSignal } from '../containers/remove-container.js';
import type { RuntimeContext } from '../context.js';
import { killMakers } from '../host/kill-makers.js';
import { mustRunOci, programName } from '../host/oci-program.js';
import { identify, readPidFile, readProc, signalProcess } from '../host/process-identity.js';
import { shiftedLayer } from '../host/user-namespaces.js';
import { pinPaths } from '../sandboxes/pin-namespaces.js';

const sigKill = 9;
const idPattern = /^[0-9a-f]{64}$/;

/** Ids that lie in our folders without a record: of a crash between two deletions, or of a record that was set aside. */
export function leftoverIds(context: RuntimeContext): Set<string> {
  const { layout } = context;
  const isOrphan = (id: string): boolean =>
    idPattern.test(id) && !context.sandboxes.has(id) && !context.containers.has(id);
  const folders = [
    layout.bundles,
    layout.namespaces,
    layout.sandboxes,
    layout.exits,
    layout.containerRecords,
    ...Object.values(context.options.ociRuntimes).map((program) => context.ociRoot(program)),
  ];
  return new Set(folders.flatMap((folder) => (existsSync(folder) ? readdirSync(folder).filter(isOrphan) : [])));
}

/** Removes them as far as that goes; a failure is reported and tried again at the next start. */
export async function sweepLeftovers(context: RuntimeContext, ids: ReadonlySet<string>): Promise<void> {
  for (const id of ids) await attempt(context, id, sweepOne);
  endOldExecs(context);
  context.trash.sweep();
  await sweepNetwork(context);
}

async function sweepOne(context: RuntimeContext, id: string, signal: AbortSignal): Promise<void> {
  const { layout } = context;
  const bundle = layout.bundle(id);
  killMakers(id, Object.values(context.options.ociRuntimes));
  for (const program of Object.values(context.options.ociRuntimes)) {
    const root = context.ociRoot(program);
    if (!existsSync(`${root}/${id}`)) continue;
    await mustRunOci(
      {
        program,
        root,
        systemdCgroup: context.systemdCgroup,
        verb: 'delete',
        args: ['--force', id],
        subject: { object: id },
        timeoutMs: context.options.ociTimeoutMs,
      },
      context.deps,
      signal,
    );
    context.deps.log.info({ containerId: id, runtime: programName(program) }, 'container without a record removed');
  }
  killCgroupsOf(context, id);
  const mounts = existsSync(bundle)
    ? readdirSync(bundle).filter((name) => /^(rootfs|image-volume-\d+)$/.test(name) || shiftedLayer.pattern.test(name))
    : [];
  const paths = [...pinPaths(context, id), layout.shm(id), ...mounts.map((name) => `${bundle}/${name}`)];
  await unmountAll(context, paths, `unmount leftovers of ${id}`, signal);
  // A second look: what is still a mount point makes this fail, and nothing is deleted through it.
  await unmountAll(context, paths, `unmount leftovers of ${id}`, signal);
  for (const folder of [bundle, `${layout.namespaces}/${id}`, layout.sandbox(id), layout.exitFile(id)]) {
    rmSync(folder, { recursive: true, force: true });
  }
  await context.trash.put(layout.container(id));
}

/** Addresses held for sandboxes nobody knows. */
async function sweepNetwork(context: RuntimeContext): Promise<void> {
  using deadline = undoSignal('the list of network attachments');
  let attached: readonly string[];
  try {
    attached = await context.deps.network.attached(deadline.signal);
  } catch (err) {
    context.deps.log.error({ err }, 'network attachments not listed, leftovers stay until the next start');
    return;
  }
  for (const id of attached) {
    if (context.sandboxes.has(id)) continue;
    await attempt(context, id, async (_, id, signal) => await context.deps.network.detach(id, signal));
  }
}

async function attempt(
  context: RuntimeContext,
  id: string,
  work: (context: RuntimeContext, id: string, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  using deadline = undoSignal('the removal of leftovers');
  try {
    await work(context, id, deadline.signal);
  } catch (err) {
    context.deps.log.error({ err, id }, 'leftovers not removed, tried again at the next start');
  }
}

/** Commands of an earlier process that nobody reads from any more; the programs in front of them end with them. */
function endOldExecs(context: RuntimeContext): void {
  const { execs } = context.layout;
  for (const name of readdirSync(execs)) {
    const pid = readPidFile(`${execs}/${name}/pid`) ?? readPidFile(`${execs}/${name}/pidfile`);
    const cgroup = pid === undefined ? '' : (readProc(`/proc/${pid}/cgroup`) ?? '');
    const isOurs = [...context.containers.keys()].some((id) => cgroup.includes(id));
    const command = pid === undefined || !isOurs ? undefined : identify(pid);
    if (command !== undefined) signalProcess(command, sigKill);
  }
  rmSync(execs, { recursive: true, force: true });
}
