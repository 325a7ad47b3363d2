import type { CallRecorder, CallSubject } from '../../../base/call-recorder.js';
import type { Clock } from '../../../base/clock.js';
import type { Logger } from '../../../base/log.js';
import type { RunProgram } from '../../../base/run-program.js';
import type { ImageService } from '../../contract/image-service.js';
import type { RegistryAccess } from './transfer/skopeo.js';

/** The parts of an OCI image configuration a container is made from (image-spec config.md); absent values are empty. */
export interface ImageConfig {
  /** `user`, `uid`, `user:group`, `uid:gid` or empty. */
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
  readonly volumes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Name or number, empty for SIGTERM. */
  readonly stopSignal: string;
}

export interface StoredImage {
  /** `sha256:...` of the config: what CRI calls the image id. */
  readonly id: string;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  /** Bytes of the unpacked layers. */
  readonly sizeBytes: number;
  readonly pinned: boolean;
  readonly config: ImageConfig;
  /** Unpacked layers as overlayfs lower directories, topmost first; absolute and short (they share one mount option page). */
  readonly lowerDirs: readonly string[];
}

/** What the runtime half needs from the image half; answers from memory. */
export interface ImageLookup {
  /** By id, `name:tag`, `name@digest`, or an unambiguous short id; undefined when it is not here. */
  find(reference: string): StoredImage | undefined;
  /** Called when a container has gone whose image is no longer here: layers may have been kept for it alone. Never rejects. */
  sweep?(): Promise<void>;
}

/** One image as `berth images` shows it. Times are milliseconds since the epoch. */
export interface ImageDetails extends StoredImage {
  readonly manifestDigest: string;
  /** Bytes on disk that go when only this image is removed. */
  readonly uniqueBytes: number;
  /** Bytes of the blobs as they came, most often compressed. */
  readonly blobBytes: number;
  /** Bottom first. */
  readonly layers: ReadonlyArray<{
    readonly diffId: string;
    readonly chainId: string;
    readonly path: string;
    readonly diskBytes: number;
    readonly blob: string;
    readonly blobBytes: number;
  }>;
  /** Came from an archive. */
  readonly imported: boolean;
  readonly createdAt: number | undefined;
  readonly firstSeen: number;
  readonly lastUsed: number;
}

export interface ImageUsage {
  readonly images: readonly ImageDetails[];
  /** Bytes on disk of layers and blobs, shared ones once. */
  readonly totalBytes: number;
  readonly layerBytes: number;
  readonly blobBytes: number;
  readonly inodes: number;
  /** The part of `layerBytes` that no image needs (kept for containers that still use it). */
  readonly unreferencedBytes: number;
}

export interface ImportOptions {
  /** The name it gets instead of those in the archive; only for an archive with one image. */
  readonly reference?: string | undefined;
  readonly pinned?: boolean | undefined;
  readonly subject?: CallSubject | undefined;
}

export type ArchiveFormat = 'docker-archive' | 'oci-archive';

/**
 * The images of the embedded runtime. All verbs throw `ImageError`; a verb that fails changes nothing but blobs and layers a later
 * pull can use, one that is cancelled changes nothing. Disposing stops the pulls under way and removes nothing.
 */
export interface ImageStore extends ImageService, ImageLookup, AsyncDisposable {
  /** A docker-archive, an oci-archive (compressed or not), or the folder of an OCI layout; every image in it. */
  importArchive(path: string, options: ImportOptions, signal: AbortSignal): Promise<readonly StoredImage[]>;
  /** From a Docker daemon on this machine, by the name it has there. */
  importFromDocker(name: string, options: ImportOptions, signal: AbortSignal): Promise<StoredImage>;
  /** Writes a file that must not be there yet; on failure there is none. */
  exportArchive(reference: string, path: string, format: ArchiveFormat, signal: AbortSignal): Promise<void>;
  /** Gives an image one more name; takes the name from the image that has it. */
  tag(reference: string, name: string, signal: AbortSignal): Promise<void>;
  /** Takes one name away. The image stays, even without any. */
  untag(name: string, signal: AbortSignal): Promise<void>;
  /** A pinned image is not collected by the agent. */
  pin(reference: string, pinned: boolean, signal: AbortSignal): Promise<void>;
  usage(): ImageUsage;
  /**
   * Removes layers that no image has and `layersInUse` does not hold back, and blobs no image has. Happens by itself after a
   * removal, a cancelled pull and a failed import, and at the start; call it when a container that kept layers of a removed
   * image has gone.
   */
  sweep(): Promise<void>;
}

export interface ImageStoreOptions {
  /** Kept short: it is part of every lower directory. */
  readonly dir: string;
  /** Default: found on the path. */
  readonly skopeoPath?: string | undefined;
  readonly tarPath?: string | undefined;
  readonly zstdPath?: string | undefined;
  /** A containers-policy.json(5); accepts every image when absent. */
  readonly policyFile?: string | undefined;
  /** containers-auth.json(5) for pulls that bring no credentials. */
  readonly authFile?: string | undefined;
  /** Where credentials are put for the time of a pull; must be on tmpfs. Default `/run`, else `/dev/shm`. */
  readonly secretsDir?: string | undefined;
  /** A pull for another RuntimeClass handler is refused; absent: none is. */
  readonly runtimeHandlers?: readonly string[] | undefined;
  /** By host and port: `{ 'localhost:5000': { insecure: true } }`. */
  readonly registries?: Readonly<Record<string, RegistryAccess>> | undefined;
  /** Other than this machine's. */
  readonly platform?:
    { readonly os: string; readonly architecture: string; readonly variant?: string | undefined } | undefined;
  /** More environment for skopeo: `HTTPS_PROXY`, `CONTAINERS_REGISTRIES_CONF`. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** How long a registry may take to name the manifest. Default 60 s. */
  readonly resolveTimeoutMs?: number | undefined;
  /** How long a copy may go without a byte. Default 5 minutes. */
  readonly stallTimeoutMs?: number | undefined;
  /** How often progress is looked at. Default 500 ms. */
  readonly progressEveryMs?: number | undefined;
  /** Flush unpacked layers to the disk before they count, so that they survive a power cut. Default true. */
  readonly flush?: boolean | undefined;
}

export interface ImageStoreDeps {
  readonly run: RunProgram;
  readonly recorder: CallRecorder;
  readonly log: Logger;
  readonly clock: Clock;
  /** Lower directories that containers have mounted, or, where only that is known, their last names: not removed with their image, but by a later sweep. */
  readonly layersInUse?: (() => ReadonlySet<string>) | undefined;
}
