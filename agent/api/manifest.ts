import { ManifestDecoder, type ManifestEntry } from './decoding/decode.js';
import { defaultObject } from './default-objects.js';
import type { KubeObject } from './generated/types.js';
import type { ManifestProblem } from './problem.js';
import { validateObject } from './validation/validate-objects.js';

/** Decodes, fills in defaults and validates. An entry without problems can be run; one with problems tells all of them. */
export class ManifestReader {
  readonly #decoder = new ManifestDecoder();

  readText(input: string | Uint8Array): ManifestEntry[] {
    return this.#decoder.decodeText(input).map(checked);
  }

  /** As `readText` for a value that is parsed already, such as a JSON request body. */
  readValue(value: unknown): ManifestEntry[] {
    return this.#decoder.decodeValue(value).map(checked);
  }

  /** Create-validation of an object that is typed already and has its defaults. */
  validate(object: KubeObject): ManifestProblem[] {
    return validateObject(object);
  }
}

function checked(entry: ManifestEntry): ManifestEntry {
  if (entry.object === undefined) return entry;
  const object = defaultObject(entry.object);
  const problems = validateObject(object).map((problem) => ({ ...problem, ...entry.locate(problem.path) }));
  return problems.length === 0 ? { ...entry, object } : { ...entry, object: undefined, written: undefined, problems };
}
