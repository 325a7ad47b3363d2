import { readFile } from 'node:fs/promises';
import { criError } from '../../contract/cri-error.js';
import type { OciSeccomp } from '../oci-spec/oci-types.js';
import { withoutNewNamespaces } from '../oci-spec/seccomp-namespaces.js';
import { parseSeccompTemplate, translateSeccomp, type SeccompHost, type SeccompTemplate } from '../oci-spec/seccomp.js';

/** The RuntimeDefault profile, read at its first use and translated once per set of capabilities; Localhost ones each time. */
export class SeccompProfiles {
  readonly #defaultPath: string;
  readonly #host: SeccompHost;
  #template: Promise<SeccompTemplate> | undefined;
  readonly #translated = new Map<string, OciSeccomp>();

  constructor(defaultPath: string, host: SeccompHost) {
    this.#defaultPath = defaultPath;
    this.#host = host;
  }

  async runtimeDefault(capabilities: readonly string[]): Promise<OciSeccomp> {
    const key = capabilities.join();
    const known = this.#translated.get(key);
    if (known !== undefined) return known;
    this.#template ??= this.#readDefault();
    let template: SeccompTemplate;
    try {
      template = await this.#template;
    } catch (err) {
      // The file may appear later; the next container asks again.
      this.#template = undefined;
      throw err;
    }
    const filter = translateSeccomp(template, capabilities, this.#host);
    this.#translated.set(key, filter);
    return filter;
  }

  async localhost(path: string, capabilities: readonly string[]): Promise<OciSeccomp> {
    return translateSeccomp(await this.#read(path, 'Localhost'), capabilities, this.#host);
  }

  async #readDefault(): Promise<SeccompTemplate> {
    return withoutNewNamespaces(await this.#read(this.#defaultPath, 'RuntimeDefault'), this.#host.arch);
  }

  async #read(path: string, kind: string): Promise<SeccompTemplate> {
    try {
      return parseSeccompTemplate(await readFile(path, 'utf8'));
    } catch (err) {
      throw criError('failed-precondition', `read ${kind} seccomp profile ${path}`, err);
    }
  }
}
