import { join } from 'node:path';

/** Plugin names in folder names: `kubernetes.io/secret` is `kubernetes.io~secret`. */
export const escapePlugin = (name: string): string => name.replaceAll('/', '~');
export const unescapePlugin = (folder: string): string => folder.replaceAll('~', '/');

/** The kubelet's layout under its root folder; drivers and tools know it (facts 5.2). */
export class VolumePaths {
  readonly rootDir: string;

  constructor(rootDir: string) {
    this.rootDir = rootDir;
  }

  get pods(): string {
    return join(this.rootDir, 'pods');
  }

  pod(uid: string): string {
    return join(this.rootDir, 'pods', uid);
  }

  volumes(uid: string): string {
    return join(this.pod(uid), 'volumes');
  }

  volume(uid: string, plugin: string, specName: string): string {
    return join(this.pod(uid), 'volumes', escapePlugin(plugin), specName);
  }

  devices(uid: string): string {
    return join(this.pod(uid), 'volumeDevices');
  }

  /** The link a container's block device is reached by. */
  device(uid: string, plugin: string, specName: string): string {
    return join(this.pod(uid), 'volumeDevices', escapePlugin(plugin), specName);
  }

  podPlugins(uid: string): string {
    return join(this.pod(uid), 'plugins');
  }

  /** Says that the volume's folder was made completely. */
  readyMarker(uid: string, plugin: string, specName: string): string {
    return join(this.pod(uid), 'plugins', escapePlugin(plugin), specName, 'ready');
  }

  subpaths(uid: string): string {
    return join(this.pod(uid), 'volume-subpaths');
  }

  subpath(uid: string, specName: string, container: string, index: number): string {
    return join(this.subpaths(uid), specName, container, String(index));
  }

  /** What a plugin keeps for the node as a whole. */
  plugin(name: string): string {
    return join(this.rootDir, 'plugins', name);
  }
}
