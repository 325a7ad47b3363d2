import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type * as v1 from '../../../proto/generated/cri-v1.js';
import { checkRunAs } from '../../contract/check-security.js';
import { checkText } from '../../contract/check-text.js';
import { checkUnified } from '../../contract/check-unified.js';
import { criError } from '../../contract/cri-error.js';
import type { RuntimeContext } from '../context.js';
import type { StoredImage } from '../images/image-store.js';
import { unknownCapabilities } from '../oci-spec/capabilities.js';
import { containerCgroup } from '../oci-spec/cgroup-path.js';
import { signalNumber } from '../../contract/signals.js';
import type { ContainerRecord } from '../state/records.js';
import { idRange, isMapped } from '../sandboxes/user-namespace-request.js';
import type { SandboxEntry } from '../state/sandbox-entry.js';

const sigTerm = 15;
const highestId = 2 ** 32 - 2;

export const newId = (): string => randomBytes(32).toString('hex');

/** Checks what can be checked without touching anything and writes down what will be made. */
export function containerRecord(
  context: RuntimeContext,
  sandbox: SandboxEntry,
  config: v1.ContainerConfig,
  image: StoredImage,
): ContainerRecord {
  const id = newId();
  const name = config.metadata?.name ?? '';
  if (name === '') throw criError('invalid-argument', 'create container: metadata.name is empty');
  checkProcess(`create container ${name}`, config);
  checkSecurity(name, config.linux?.securityContext);
  checkMounts(name, config.mounts ?? []);
  checkUserNamespace(name, config, sandbox);
  checkUnified(`create container ${name}`, config.linux?.resources, context.host.cgroupVersion);
  const pidMode = config.linux?.securityContext?.namespaceOptions?.pid ?? 'POD';
  return {
    id,
    sandboxId: sandbox.id,
    metadata: { name, attempt: config.metadata?.attempt ?? 0 },
    createdAtMs: context.deps.clock.now(),
    bootId: context.deps.bootId,
    ociRuntime: context.ociRuntime(sandbox.record.runtimeHandler),
    image: config.image ?? {},
    imageRef: image.repoDigests[0] ?? image.id,
    imageId: image.id,
    labels: config.labels ?? {},
    annotations: config.annotations ?? {},
    mounts: config.mounts ?? [],
    logPath: logPath(sandbox.record.logDirectory, config.logPath ?? ''),
    stopSignal: stopSignal(name, config, image),
    tty: config.tty ?? false,
    stdin: config.stdin ?? false,
    stdinOnce: config.stdinOnce ?? false,
    resources: config.linux?.resources ?? {},
    cgroup: containerCgroup(context.options.cgroupDriver, sandbox.record.cgroupParent, id).path,
    privatePid: pidMode === 'CONTAINER' || (pidMode === 'POD' && sandbox.record.pid === 'CONTAINER'),
    mountPoints: [context.layout.rootfs(id)],
  };
}

function logPath(directory: string, file: string): string {
  if (file === '' || directory === '') return '';
  return join(directory, file);
}

/** The request's signal wins over the image's; both default to SIGTERM. */
function stopSignal(name: string, config: v1.ContainerConfig, image: StoredImage): number {
  const asked = config.stopSignal ?? 'RUNTIME_DEFAULT';
  const word = asked === 'RUNTIME_DEFAULT' ? image.config.stopSignal : asked;
  if (word === '') return sigTerm;
  const number = signalNumber(word);
  if (number === undefined) throw criError('invalid-argument', `create container ${name}: unknown stop signal ${word}`);
  return number;
}

function checkProcess(verb: string, { command = [], args = [], envs = [] }: v1.ContainerConfig): void {
  checkText(verb, 'the command', [...command, ...args]);
  for (const { key = '', value } of envs) {
    if (key === '') throw criError('invalid-argument', `${verb}: a variable without a name`);
    checkText(verb, `variable ${key}`, [key, Buffer.from(value ?? []).toString('latin1')]);
  }
}

function checkSecurity(name: string, security: v1.LinuxContainerSecurityContext | null | undefined): void {
  if (security == null) return;
  const unknown = unknownCapabilities(security.capabilities ?? {});
  if (unknown.length > 0) {
    throw criError('invalid-argument', `create container ${name}: unknown capability ${unknown.join(', ')}`);
  }
  checkRunAs(`create container ${name}`, security);
  const group = (security.supplementalGroups ?? []).find((gid) => gid < 0 || gid > highestId);
  if (group !== undefined) {
    throw criError('invalid-argument', `create container ${name}: supplemental group ${group} is out of range`);
  }
}

/** A container is in the user namespace of its sandbox, whatever that is. */
function checkUserNamespace(name: string, config: v1.ContainerConfig, { record }: SandboxEntry): void {
  const what = `create container ${name}`;
  const asked = config.linux?.securityContext?.namespaceOptions?.usernsOptions;
  const range = asked?.mode === 'POD' ? idRange(asked, what) : undefined;
  const own = record.userNamespace;
  if (range?.hostId !== own?.hostId || range?.length !== own?.length) {
    throw criError('invalid-argument', `${what}: its user namespace is not that of its sandbox`);
  }
  for (const mount of config.mounts ?? []) isMapped(mount, own, what);
}

function checkMounts(name: string, mounts: readonly v1.Mount[]): void {
  for (const mount of mounts) {
    const path = mount.containerPath ?? '';
    if (path === '') throw criError('invalid-argument', `create container ${name}: a mount without container_path`);
    const isImage = Boolean(mount.image?.image);
    const isHostPath = (mount.hostPath ?? '') !== '';
    if (isImage === isHostPath) {
      const problem = isImage ? 'has both host_path and image' : 'has neither host_path nor image';
      throw criError('invalid-argument', `create container ${name}: mount ${path} ${problem}`);
    }
    // Relative to what? A folder would be made wherever the server happens to stand.
    if (isHostPath && mount.hostPath?.startsWith('/') !== true) {
      throw criError(
        'invalid-argument',
        `create container ${name}: mount ${path}: host_path ${mount.hostPath} is relative`,
      );
    }
    if (isImage && mount.readonly !== true) {
      throw criError('invalid-argument', `create container ${name}: mount ${path} of an image is not readonly`);
    }
    if (mount.recursiveReadOnly === true && mount.readonly !== true) {
      throw criError(
        'invalid-argument',
        `create container ${name}: mount ${path} is recursive_read_only, not readonly`,
      );
    }
    const propagation = mount.propagation ?? 'PROPAGATION_PRIVATE';
    if (mount.recursiveReadOnly === true && propagation !== 'PROPAGATION_PRIVATE') {
      throw criError(
        'invalid-argument',
        `create container ${name}: mount ${path} is recursive_read_only and propagated`,
      );
    }
  }
}
