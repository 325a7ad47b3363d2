import { describeEnd, programSucceeded, type ProgramResult } from '../../../base/run-program.js';
import { mountsBelow, readMountInfo } from '../mounts/mount-table.js';
import { SlowMounts, type SlowMount } from '../mounts/slow-mounts.js';
import type { PluginContext } from '../plugin-context.js';
import { VolumeProblem } from '../volume-error.js';
import type { FoundVolume, PodVolume, PublishedVolume, PublishRequest, VolumePlugin } from '../volume-plugin.js';
import { lookAtServer, nfsPort } from './nfs-server.js';

const mountTimeoutMs = 120_000;
/** A server that is there answers sooner. */
const patienceMs = 5000;
const lookTimeoutMs = 2000;
const unmountTimeoutMs = 30_000;
const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };

/**
 * A folder of an NFS server. Nothing here looks at a mounted path: while the server is away whoever does hangs, so mounts are found in the
 * mount table, and an unmount that hangs is forced.
 */
export class NfsPlugin implements VolumePlugin {
  readonly name = 'kubernetes.io/nfs';
  readonly hasFolder = true;
  readonly deletesContent = false;
  readonly keepsLabels = true;
  readonly #context: PluginContext;
  readonly #mounts: SlowMounts;

  constructor(context: PluginContext) {
    this.#context = context;
    this.#mounts = new SlowMounts({ patienceMs, timeoutMs: mountTimeoutMs }, context, context.lifetime);
  }

  supports(origin: PodVolume['origin']): boolean {
    return sourceOf(origin) !== undefined;
  }

  async publish({ volume, path, before }: PublishRequest, signal: AbortSignal): Promise<PublishedVolume> {
    const source = sourceOf(volume.origin);
    if (!source) throw new VolumeProblem('unsupported', 'not an NFS volume');
    const readOnly = volume.readOnly || (source.readOnly ?? false);
    if (!before && !(await isMounted(path))) {
      const request = {
        source: `${source.server.includes(':') ? `[${source.server}]` : source.server}:${source.path}`,
        target: path,
        fsType: 'nfs',
        options: [...(readOnly ? ['ro'] : []), ...source.mountOptions],
      };
      const mount = `mount -t nfs ${request.source}`;
      const result = await this.#mounts.mount(request, () => this.#context.lookAgain(volume.uid), signal);
      if ('since' in result) throw await stillRunning(mount, source, result, signal);
      if (!programSucceeded(result)) throw new VolumeProblem('failed', `${mount}: ${describeEnd(result)}`);
    }
    return { hostPath: path, readOnly };
  }

  async unpublish({ path }: FoundVolume, signal: AbortSignal): Promise<void> {
    await this.#mounts.stop(path);
    if (!(await isMounted(path))) return;
    const polite = await this.#umount([path], signal);
    if (programSucceeded(polite)) return;
    if (/busy/.test(polite.stderr)) throw new VolumeProblem('busy', describeEnd(polite));
    const forced = await this.#umount(['-f', path], signal);
    if (!programSucceeded(forced)) throw new VolumeProblem('failed', `umount -f ${describeEnd(forced)}`);
  }

  async #umount(args: readonly string[], signal: AbortSignal): Promise<ProgramResult> {
    return await this.#context.run({ argv: ['umount', '-c', ...args], env, timeoutMs: unmountTimeoutMs }, signal);
  }
}

/** The time it began and not how long ago, so that the pod's event is one event. */
async function stillRunning(
  mount: string,
  { server, mountOptions }: NfsSource,
  { since, said }: SlowMount,
  signal: AbortSignal,
): Promise<VolumeProblem> {
  const known = await lookAtServer(server, nfsPort(mountOptions), lookTimeoutMs, signal);
  const words = said === '' ? 'it has said nothing yet' : `it says: ${said}`;
  const began = new Date(since).toISOString();
  return new VolumeProblem('unavailable', `${mount} was begun at ${began} and has not ended: ${known}; ${words}`);
}

async function isMounted(path: string): Promise<boolean> {
  return mountsBelow(await readMountInfo(), path).some(({ mountPoint }) => mountPoint === path);
}

interface NfsSource {
  readonly server: string;
  readonly path: string;
  readonly readOnly?: boolean | undefined;
  readonly mountOptions: readonly string[];
}

function sourceOf(origin: PodVolume['origin']): NfsSource | undefined {
  if (origin.kind === 'inline') return origin.volume.nfs && { ...origin.volume.nfs, mountOptions: [] };
  const { nfs, mountOptions = [] } = origin.persistentVolume.spec ?? {};
  return nfs && { ...nfs, mountOptions };
}
