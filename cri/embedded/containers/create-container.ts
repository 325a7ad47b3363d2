import { chownSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { linkSignal } from '../../../base/signals.js';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { checkPrivileged } from '../../contract/check-security.js';
import { criError } from '../../contract/cri-error.js';
import { containerSubject, type RuntimeContext } from '../context.js';
import { emitContainer } from '../emit-event.js';
import { startConmon } from '../host/conmon.js';
import { identify, readPidFile } from '../host/process-identity.js';
import { ContainerEntry } from '../state/container-entry.js';
import type { SandboxEntry } from '../state/sandbox-entry.js';
import { writeBundle } from './container-bundle.js';
import { conmonArgv } from './conmon-argv.js';
import { isMounted, mountAll, mountPoints, planMounts } from './container-mounts.js';
import { containerRecord } from './container-request.js';
import { letGroupRead } from './log-mode.js';
import { clearAway, nameKey, undoSignal } from './remove-container.js';
import { settleExit } from './settle-exit.js';
import { startError, whyUnfit } from './unfit-program.js';

export async function createContainer(
  context: RuntimeContext,
  request: v1.CreateContainerRequest,
  signal: AbortSignal,
): Promise<v1.CreateContainerResponse> {
  const sandbox = context.sandbox(request.podSandboxId);
  const config = request.config ?? {};
  const name = config.metadata?.name ?? '';
  if (sandbox.phase !== 'ready') {
    throw criError('failed-precondition', `create container ${name}: sandbox ${sandbox.id} is not ready`);
  }
  checkPrivileged(request, sandbox.record.privileged);
  const wanted = config.image?.image ?? '';
  if (wanted === '') throw criError('invalid-argument', `create container ${name}: image.image is empty`);
  const image = context.deps.images.find(wanted);
  if (image === undefined) throw criError('not-found', `create container ${name}: image ${wanted} is not here`);

  const record = containerRecord(context, sandbox, config, image);
  const entry = new ContainerEntry(record);
  const key = nameKey(entry);
  const holder = context.names.get(key);
  if (holder !== undefined) {
    throw criError('already-exists', `create container ${name}: attempt ${record.metadata.attempt} is ${holder}`);
  }
  context.names.set(key, entry.id);
  context.containers.set(entry.id, entry);
  sandbox.containers.add(entry);
  const making = makeOrUndo(context, { entry, sandbox, config, image }, signal);
  const settled = making.then(
    () => {},
    () => {},
  );
  sandbox.creations.add(settled);
  let unfit: string | undefined;
  try {
    unfit = await making;
  } finally {
    sandbox.creations.delete(settled);
  }
  emitContainer(context, entry, 'CONTAINER_CREATED_EVENT');
  if (unfit !== undefined) settleUnstarted(context, entry, unfit);
  return { containerId: entry.id };
}

/** Resolves to why the program cannot be run, where it cannot. */
async function makeOrUndo(
  context: RuntimeContext,
  parts: CreateParts,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { entry, sandbox } = parts;
  const { signal: ending } = sandbox.ending;
  using linked = linkSignal(signal);
  const onEnding = (): void => linked.abort(ending.reason);
  ending.addEventListener('abort', onEnding, { once: true });
  try {
    const unfit = await makeContainer(context, parts, linked.signal);
    linked.signal.throwIfAborted();
    return unfit;
  } catch (err) {
    await undoCreate(context, entry, sandbox, err);
    linked.signal.throwIfAborted();
    throw err;
  } finally {
    ending.removeEventListener('abort', onEnding);
  }
}

interface CreateParts {
  readonly entry: ContainerEntry;
  readonly sandbox: SandboxEntry;
  readonly config: v1.ContainerConfig;
  readonly image: Parameters<typeof planMounts>[3];
}

async function makeContainer(
  context: RuntimeContext,
  parts: CreateParts,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { entry, sandbox, image } = parts;
  const { layout } = context;
  const folder = layout.container(entry.id);
  const { userNamespace } = sandbox.record;
  const mounts = planMounts(context, entry, sandbox, image);
  entry.record = {
    ...entry.record,
    mounts: mounts.mounts,
    mountPoints: mountPoints(context, entry.id, mounts, userNamespace !== undefined),
  };
  mkdirSync(folder, { mode: 0o711 });
  await context.records.writeContainer(entry);
  await context.at('container-recorded', entry.id);

  for (const part of ['upper', 'work']) mkdirSync(`${folder}/${part}`, { mode: 0o755 });
  if (userNamespace !== undefined) chownSync(`${folder}/upper`, userNamespace.hostId, userNamespace.hostId);
  // The OCI runtime reaches the root as the root of the user namespace, where there is one.
  mkdirSync(layout.bundle(entry.id), { mode: userNamespace === undefined ? 0o700 : 0o711 });
  await mountRoot(context, parts, mounts, signal);
  await context.at('container-mounted', entry.id);

  // Written down with the start: a crash before it loses the user from the status and nothing else.
  const user = await writeBundle(context, { ...parts, mounts }, signal);
  entry.record = {
    ...entry.record,
    user: { uid: user.uid, gid: user.gid, supplementalGroups: user.additionalGids },
  };
  const { logPath } = entry.record;
  if (logPath !== '') mkdirSync(dirname(logPath), { recursive: true, mode: 0o755 });
  await context.at('container-spec-written', entry.id);

  const started = await runConmon(context, entry, signal).catch((err: unknown) => whyUnfit(err));
  if (typeof started === 'string') return started;
  if (logPath !== '') letGroupRead(logPath);
  const conmonPid = readPidFile(`${layout.bundle(entry.id)}/conmon.pid`);
  const init = identify(started.pid);
  const conmon = conmonPid === undefined ? undefined : identify(conmonPid);
  if (init === undefined || conmon === undefined) {
    throw criError(
      'internal',
      `create container ${entry.record.metadata.name}: its process ended before it was started`,
    );
  }
  entry.phase = { kind: 'created', init, conmon };
  await context.at('container-created', entry.id);
  return undefined;
}

/** The end of a container that was made and whose program cannot be run: nothing of it ever ran. */
function settleUnstarted(context: RuntimeContext, entry: ContainerEntry, why: string): void {
  settleExit(context, entry, { ...startError(why), finishedAtMs: context.deps.clock.now() });
}

/** Two first containers of a sandbox at once must not both mount its /dev/shm. */
async function mountRoot(
  context: RuntimeContext,
  { entry, sandbox, image }: CreateParts,
  mounts: ReturnType<typeof planMounts>,
  signal: AbortSignal,
): Promise<void> {
  const { layout } = context;
  const pinned = sandbox.record.userNamespace === undefined ? undefined : layout.namespace(sandbox.id, 'user');
  if (mounts.lines.every((line) => line.target !== layout.shm(sandbox.id))) {
    await mountAll(context, entry.id, mounts, pinned, signal);
    return;
  }
  await context.locks.run(
    `shm/${sandbox.id}`,
    async () => {
      try {
        await mountAll(context, entry.id, planMounts(context, entry, sandbox, image), pinned, signal);
      } finally {
        // A call that was cut off may have mounted it all the same, and a second one on top would outlive the sandbox.
        sandbox.shmMounted = isMounted(layout.shm(sandbox.id));
      }
    },
    signal,
  );
}

async function runConmon(
  context: RuntimeContext,
  entry: ContainerEntry,
  signal: AbortSignal,
): Promise<{ pid: number }> {
  const bundle = context.layout.bundle(entry.id);
  return await startConmon(
    {
      argv: conmonArgv(context, entry),
      logPath: `${bundle}/conmon.log`,
      verb: 'create',
      ociRuntime: entry.record.ociRuntime,
      subject: containerSubject(entry),
      timeoutMs: context.options.ociTimeoutMs,
    },
    context.deps.recorder,
    signal,
  );
}

/** Not on the cancelled signal, with a deadline of its own; what cannot be undone is listed as a container that ended. */
async function undoCreate(
  context: RuntimeContext,
  entry: ContainerEntry,
  sandbox: SandboxEntry,
  cause: unknown,
): Promise<void> {
  using deadline = undoSignal('the undo of a create');
  try {
    await clearAway(context, entry, deadline.signal);
    sandbox.containers.delete(entry);
  } catch (err) {
    context.deps.log.error({ err, containerId: entry.id }, 'container not undone, listed as ended for a later removal');
    const message = cause instanceof Error ? cause.message : String(cause);
    settleExit(context, entry, {
      code: 128,
      finishedAtMs: context.deps.clock.now(),
      reason: 'CreateError',
      message,
    });
  }
}
