import { suggest } from '../../api/suggest.js';
import { parseGoDuration } from './durations.js';
import type { Field, Fields, ObjectOf } from './field-types.js';

export interface ConfigProblem {
  readonly path: string;
  readonly message: string;
}

export interface Decoded<O> {
  readonly value: ObjectOf<O>;
  readonly problems: readonly ConfigProblem[];
  /** Fields that were set and change nothing: `path: why`. */
  readonly idle: readonly ConfigProblem[];
}

/** Decodes an object strictly: what is not known is a problem that names its path. Null stands for a field that is not set. */
export function decodeFields<const O extends Fields>(fields: O, value: unknown, at = ''): Decoded<O> {
  const decoder = new Decoder();
  const decoded = decoder.object(fields, value, at);
  return { value: decoded as ObjectOf<O>, problems: decoder.problems, idle: decoder.idle };
}

class Decoder {
  readonly problems: ConfigProblem[] = [];
  readonly idle: ConfigProblem[] = [];

  object(fields: Fields, value: unknown, at: string): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    if (!isObject(value)) {
      this.#wrong(at, 'an object', value);
      return result;
    }
    for (const [key, each] of Object.entries(value)) {
      const path = at === '' ? key : `${at}.${key}`;
      const field = Object.hasOwn(fields, key) ? fields[key] : undefined;
      if (!field) {
        const near = suggest(key, Object.keys(fields));
        const hint = near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`;
        this.problems.push({ path, message: `unknown field${hint}` });
        continue;
      }
      if (each === null) continue;
      if (field.idle !== undefined) this.idle.push({ path, message: field.idle });
      result[key] = this.#field(field, each, path);
    }
    return result;
  }

  #field(field: Field, value: unknown, path: string): unknown {
    switch (field.is) {
      case 'string':
      case 'path':
        return typeof value === 'string' ? value : this.#wrong(path, 'a text', value);
      case 'bool':
        return typeof value === 'boolean' ? value : this.#wrong(path, 'true or false', value);
      case 'int':
      case 'number':
        return this.#number(field, value, path);
      case 'duration':
        return this.#duration(field, value, path);
      case 'enum':
        if (typeof value === 'string' && field.of.includes(value)) return value;
        return this.#wrong(path, `one of ${field.of.map((word) => JSON.stringify(word)).join(', ')}`, value);
      case 'strings':
        return this.#list(value, path, (each, at) =>
          typeof each === 'string' ? each : this.#wrong(at, 'a text', each),
        );
      case 'string-map':
        return this.#map(value, path, (each, at) => {
          if (typeof each === 'string') return each;
          // `cpu: 1` is what people write, and what the kubelet takes.
          return typeof each === 'number' ? String(each) : this.#wrong(at, 'a text', each);
        });
      case 'bool-map':
        return this.#map(value, path, (each, at) =>
          typeof each === 'boolean' ? each : this.#wrong(at, 'true or false', each),
        );
      case 'lists-map':
        return this.#map(value, path, (each, at) =>
          this.#list(each, at, (word, where) => (typeof word === 'string' ? word : this.#wrong(where, 'a text', word))),
        );
      case 'object':
        return this.object(field.fields, value, path);
      case 'objects':
        return this.#list(value, path, (each, at) => this.object(field.fields, each, at));
      case 'any':
        return value;
    }
  }

  #number(field: Field, value: unknown, path: string): unknown {
    if (typeof value !== 'number' || (field.is === 'int' && !Number.isSafeInteger(value)))
      return this.#wrong(path, field.is === 'int' ? 'a whole number' : 'a number', value);
    return this.#inRange(field, value, path);
  }

  #duration(field: Field, value: unknown, path: string): unknown {
    const ms = typeof value === 'string' ? parseGoDuration(value) : undefined;
    return ms === undefined ? this.#wrong(path, 'a duration such as "1m30s"', value) : this.#inRange(field, ms, path);
  }

  #inRange({ least, most, is }: Field, value: number, path: string): unknown {
    const unit = is === 'duration' ? ' ms' : '';
    if (least !== undefined && value < least) return this.#wrong(path, `at least ${least}${unit}`, value);
    if (most !== undefined && value > most) return this.#wrong(path, `at most ${most}${unit}`, value);
    return value;
  }

  #list<T>(value: unknown, path: string, each: (value: unknown, path: string) => T): T[] | undefined {
    if (!Array.isArray(value)) return this.#wrong(path, 'a list', value);
    return value.map((item: unknown, index) => each(item, `${path}[${index}]`));
  }

  #map<T>(value: unknown, path: string, each: (value: unknown, path: string) => T): Record<string, T> | undefined {
    if (!isObject(value)) return this.#wrong(path, 'a map', value);
    return Object.fromEntries(
      Object.entries(value).map(([key, item]): [string, T] => [key, each(item, `${path}.${key}`)]),
    );
  }

  #wrong(path: string, expected: string, value: unknown): undefined {
    const shown = JSON.stringify(value) ?? 'nothing';
    this.problems.push({
      path,
      message: `expected ${expected}, got ${shown.length > 80 ? `${shown.slice(0, 80)}...` : shown}`,
    });
    return undefined;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
