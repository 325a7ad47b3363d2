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
}
