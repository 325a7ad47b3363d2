import { readFileSync, statSync } from 'node:fs';

/** Text of a file that changes rarely, parsed once per change; empty while there is none. */
export class CachedFile<T> {
  readonly #path: string;
  readonly #parse: (text: string) => T;
  #known: { readonly mtimeMs: number; readonly value: T } | undefined;

  constructor(path: string, parse: (text: string) => T) {
    this.#path = path;
    this.#parse = parse;
  }

  read(): T {
    const mtimeMs = statSync(this.#path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (this.#known?.mtimeMs === mtimeMs) return this.#known.value;
    const value = this.#parse(mtimeMs === 0 ? '' : readFileSync(this.#path, 'utf8'));
    this.#known = { mtimeMs, value };
    return value;
  }
}
