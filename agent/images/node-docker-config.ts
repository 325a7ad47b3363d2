import { homedir } from 'node:os';
import { join } from 'node:path';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { CachedFile } from '../node/cached-file.js';
import { readDockerConfig, readLegacyConfig, type DockerConfig } from './docker-config.js';

type Reading = DockerConfig | { readonly problem: string } | undefined;

/** The docker configuration of the node itself: the first of the kubelet's places that holds a good one (facts 11.3). */
export class NodeDockerConfig {
  readonly #files: readonly { readonly path: string; readonly file: CachedFile<Reading> }[];

  /** The working directory, where the kubelet looks too, is left out: what lies there is not meant for the node. */
  constructor(rootDir: string, log: Logger, home: string = homedir()) {
    const modern = [rootDir, join(home, '.docker'), '/.docker'].map((folder) => join(folder, 'config.json'));
    const legacy = [rootDir, home, '/'].map((folder) => join(folder, '.dockercfg'));
    this.#files = [...modern, ...legacy].map((path) => ({
      path,
      file: new CachedFile(path, (text) => readOne(path, text, modern.includes(path), log)),
    }));
  }

  /** What it holds now; `notes` say what of it cannot be used, for a pull that fails. */
  read(): { auths: DockerConfig['auths']; notes: readonly string[] } {
    const notes: string[] = [];
    for (const { path, file } of this.#files) {
      const reading = this.#look(path, file);
      if (reading === undefined) continue;
      if ('problem' in reading) {
        notes.push(`${path} cannot be used: ${reading.problem}`);
        continue;
      }
      notes.push(...reading.helpers.map((helper) => notRun(path, helper)));
      return { auths: reading.auths, notes };
    }
    return { auths: new Map(), notes };
  }

  #look(path: string, file: CachedFile<Reading>): Reading {
    try {
      return file.read();
    } catch (err) {
      return { problem: errorText(err).replace(`, open '${path}'`, '') };
    }
  }
}

function readOne(path: string, text: string, isModern: boolean, log: Logger): Reading {
  if (text === '') return undefined;
  try {
    const config = isModern ? readDockerConfig(text) : { auths: readLegacyConfig(text), helpers: [] };
    for (const helper of config.helpers) log.warn({ path, helper }, 'credential helper of docker is not run');
    return config;
  } catch (err) {
    log.warn({ path, err: errorText(err) }, 'docker configuration of the node cannot be used');
    return { problem: errorText(err) };
  }
}

const notRun = (path: string, helper: string): string =>
  `${path} names ${helper}, which is not run: use a credential provider plugin (--image-credential-provider-config)`;
