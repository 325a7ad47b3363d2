import { join } from 'node:path';
import type { EmbeddedRuntimeOptions } from '../options.js';

/** Where everything lies; the only place that knows. */
export class Layout {
  readonly sandboxRecords: string;
  readonly containerRecords: string;
  readonly trash: string;
  readonly exits: string;
  readonly ociRoot: string;
  readonly namespaces: string;
  readonly sandboxes: string;
  readonly bundles: string;
  readonly execs: string;
  readonly emptyFolder: string;

  constructor(options: Pick<EmbeddedRuntimeOptions, 'stateDir' | 'runDir'>) {
    this.sandboxRecords = join(options.stateDir, 'sandboxes');
    this.containerRecords = join(options.stateDir, 'containers');
    this.trash = join(options.stateDir, 'trash');
    this.exits = join(options.runDir, 'exits');
    this.ociRoot = join(options.runDir, 'oci');
    this.namespaces = join(options.runDir, 'ns');
    this.sandboxes = join(options.runDir, 'sandboxes');
    this.bundles = join(options.runDir, 'containers');
    this.execs = join(options.runDir, 'execs');
    this.emptyFolder = join(options.stateDir, 'empty');
  }

  get persistentFolders(): readonly string[] {
    return [this.sandboxRecords, this.containerRecords, this.trash, this.emptyFolder];
  }

  get volatileFolders(): readonly string[] {
    return [this.exits, this.ociRoot, this.namespaces, this.sandboxes, this.bundles, this.execs];
  }

  sandboxRecord(id: string): string {
    return `${this.sandboxRecords}/${id}.json`;
  }

  /** Volatile files of a sandbox: hostname, resolv.conf, the mount point of /dev/shm. */
  sandbox(id: string): string {
    return `${this.sandboxes}/${id}`;
  }

  shm(id: string): string {
    return `${this.sandboxes}/${id}/shm`;
  }

  namespace(id: string, type: 'user' | 'net' | 'ipc' | 'uts'): string {
    return `${this.namespaces}/${id}/${type}`;
  }

  /** Record, writable layer and image volumes of a container. */
  container(id: string): string {
    return `${this.containerRecords}/${id}`;
  }

  containerRecord(id: string): string {
    return `${this.containerRecords}/${id}/record.json`;
  }

  /** OCI bundle: config.json, mount point of the root, what conmon and the OCI runtime write. */
  bundle(id: string): string {
    return `${this.bundles}/${id}`;
  }

  rootfs(id: string): string {
    return `${this.bundles}/${id}/rootfs`;
  }

  exitFile(id: string): string {
    return `${this.exits}/${id}`;
  }
}
