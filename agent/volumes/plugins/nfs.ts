import { describeEnd, programSucceeded, type ProgramResult } from '../../../base/run-program.js';
import { mountsBelow, readMountInfo } from '../mounts/mount-table.js';
import type { PluginContext } from '../plugin-context.js';
import { VolumeProblem } from '../volume-error.js';
import type { FoundVolume, PodVolume, PublishedVolume, PublishRequest, VolumePlugin } from '../volume-plugin.js';

const mountTimeoutMs = 120_000;
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

  constructor(context: PluginContext) {
    this.#context = context;
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
      const result = await this.#context.mounter.mountOne(request, mountTimeoutMs, signal);
      if (!programSucceeded(result))
        throw new VolumeProblem('failed', `mount -t nfs ${request.source}: ${describeEnd(result)}`);
    }
    return { hostPath: path, readOnly };
  }

  async unpublish({ path }: FoundVolume, signal: AbortSignal): Promise<void> {
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
