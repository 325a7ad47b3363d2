import { accessSync, chownSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { criError } from '../../contract/cri-error.js';
import { conmonArgv } from '../containers/conmon-argv.js';
import { clearAway } from '../containers/remove-container.js';
import { sandboxSubject, type RuntimeContext } from '../context.js';
import { startConmon } from '../host/conmon.js';
import { mustRunOci } from '../host/oci-program.js';
import { identify, readPidFile } from '../host/process-identity.js';
import { containerCgroup, scopeAnnotations } from '../oci-spec/cgroup-path.js';
import { containerSpec, namespaceList } from '../oci-spec/container-spec.js';
import { idMappings } from '../oci-spec/id-mappings.js';
import { buildCapabilities } from '../oci-spec/capabilities.js';
import { ContainerEntry } from '../state/container-entry.js';
import type { SandboxEntry } from '../state/sandbox-entry.js';

/** oom_score_adj of a process the whole pod depends on, as other runtimes give their sandbox container. */
const initOomScore = -998;

/**
 * A pod that shares its PID namespace needs a first process in it that reaps orphans and outlives each container: a small container
 * of its own, never listed, with the sandbox's id. It is watched like any other: when it ends, the sandbox is not ready.
 */
export async function startSandboxInit(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  signal: AbortSignal,
): Promise<void> {
  const { layout, options } = context;
  requireInitProgram(options.initPath);
  const entry = sandboxInitEntry(context, sandbox);
  sandbox.initProcess = entry;
  context.inits.set(entry.id, entry);
  const root = sandbox.record.userNamespace?.hostId ?? 0;
  mkdirSync(layout.bundle(entry.id), { mode: 0o711 });
  mkdirSync(layout.rootfs(entry.id), { mode: 0o755 });
  // The OCI runtime makes its mount points there as the root of the user namespace.
  chownSync(layout.rootfs(entry.id), root, root);
  writeFileSync(`${layout.bundle(entry.id)}/config.json`, JSON.stringify(initSpec(context, sandbox)), { mode: 0o600 });
  const subject = sandboxSubject(sandbox);
  const started = await startConmon(
    {
      argv: conmonArgv(context, entry),
      logPath: `${layout.bundle(entry.id)}/conmon.log`,
      verb: 'create',
      ociRuntime: entry.record.ociRuntime,
      subject,
      timeoutMs: options.ociTimeoutMs,
    },
    context.deps.recorder,
    signal,
  );
  const conmonPid = readPidFile(`${layout.bundle(entry.id)}/conmon.pid`);
  const init = identify(started.pid);
  const conmon = conmonPid === undefined ? undefined : identify(conmonPid);
  if (init === undefined || conmon === undefined) {
    throw criError('internal', `run sandbox ${sandbox.id}: its init process ended at once`);
  }
  entry.phase = { kind: 'created', init, conmon };
  await mustRunOci(
    {
      program: entry.record.ociRuntime,
      root: context.ociRoot(entry.record.ociRuntime),
      systemdCgroup: context.systemdCgroup,
      verb: 'start',
      args: [entry.id],
      subject,
      timeoutMs: options.ociTimeoutMs,
    },
    context.deps,
    signal,
  );
  if (entry.phase.kind === 'created') entry.phase = { kind: 'running', init, conmon };
}

function requireInitProgram(path: string): void {
  try {
    accessSync(path, constants.X_OK);
  } catch (err) {
    const reason = `run sandbox: a shared PID namespace needs ${path} (Debian package catatonit)`;
    throw criError('failed-precondition', reason, err);
  }
}

/** Ends and removes the init process; one that is not there is fine. */
export async function stopSandboxInit(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  signal: AbortSignal,
): Promise<void> {
  if (sandbox.record.pid !== 'POD') return;
  const entry = sandbox.initProcess ?? sandboxInitEntry(context, sandbox);
  // It has no grace and no exit code that anyone wants: the OCI runtime's forced delete ends it.
  await clearAway(context, entry, signal);
  context.inits.delete(entry.id);
  sandbox.initProcess = undefined;
}

export function sandboxInitEntry(context: RuntimeContext, sandbox: SandboxEntry): ContainerEntry {
  const { record } = sandbox;
  return new ContainerEntry({
    id: record.id,
    sandboxId: record.id,
    // No container can have this name: it does not take one from them.
    metadata: { name: '.init', attempt: 0 },
    createdAtMs: record.createdAtMs,
    bootId: record.bootId,
    ociRuntime: context.ociRuntime(record.runtimeHandler),
    image: {},
    imageRef: '',
    imageId: '',
    labels: {},
    annotations: {},
    mounts: [],
    logPath: '',
    stopSignal: 9,
    tty: false,
    stdin: false,
    stdinOnce: false,
    resources: {},
    cgroup: containerCgroup(context.options.cgroupDriver, record.cgroupParent, record.id).path,
    privatePid: true,
    mountPoints: [],
  });
}

function initSpec(context: RuntimeContext, sandbox: SandboxEntry): ReturnType<typeof containerSpec> {
  const { layout, options, host } = context;
  const { record } = sandbox;
  return containerSpec({
    process: {
      user: { uid: 65535, gid: 65535 },
      args: ['/init', '-P'],
      env: [],
      cwd: '/',
      capabilities: buildCapabilities({ dropCapabilities: ['ALL'] }, false, host.capabilities),
      noNewPrivileges: true,
      oomScoreAdj: Math.max(initOomScore, host.oomScoreFloor),
    },
    rootPath: layout.rootfs(record.id),
    readonlyRootfs: true,
    hostname: undefined,
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'noexec', 'mode=755', 'size=64k'] },
      { destination: '/init', type: 'bind', source: options.initPath, options: ['bind', 'ro'] },
    ],
    annotations: scopeAnnotations(options.cgroupDriver),
    idMappings: idMappings(record),
    namespaces: namespaceList({
      user: record.userNamespace === undefined ? undefined : layout.namespace(record.id, 'user'),
      net: record.network === 'POD' ? layout.namespace(record.id, 'net') : undefined,
      ipc: record.ipc === 'POD' ? layout.namespace(record.id, 'ipc') : undefined,
      uts: record.network === 'POD' ? layout.namespace(record.id, 'uts') : undefined,
      pid: 'private',
      cgroup: false,
    }),
    cgroupsPath: containerCgroup(options.cgroupDriver, record.cgroupParent, record.id).oci,
    resources: { cpu: { shares: 2 } },
    privileged: false,
    devices: [],
    deviceRules: [],
    sysctls: record.sysctls,
    seccomp: undefined,
    rootfsPropagation: undefined,
    maskedPaths: [],
    readonlyPaths: [],
    mountLabel: '',
  });
}
