import type { ManifestProblem } from '../problem.js';

/** Collects what validation finds, in the API server's words. */
export class FieldProblems {
  readonly list: ManifestProblem[] = [];

  required(path: string, detail = ''): void {
    this.list.push({ code: 'missing', path, message: detail === '' ? 'Required value' : `Required value: ${detail}` });
  }

  /** `value` is shown; leave it out (undefined) where it may be secret or says nothing. */
  invalid(path: string, value: string | number | boolean | undefined, reason: string): void {
    this.#add(path, value === undefined ? `Invalid value: ${reason}` : `Invalid value: ${show(value)}: ${reason}`);
  }

  duplicate(path: string, value: string): void {
    this.#add(path, `Duplicate value: ${show(value)}`);
  }

  notFound(path: string, value: string, detail = ''): void {
    this.#add(path, `Not found: ${show(value)}${detail === '' ? '' : `: ${detail}`}`);
  }

  forbidden(path: string, reason: string): void {
    this.#add(path, `Forbidden: ${reason}`);
  }

  notSupported(path: string, value: string, supported: readonly string[]): void {
    this.#add(
      path,
      `Unsupported value: ${show(value)}: supported values: ${supported.map((each) => `"${each}"`).join(', ')}`,
    );
  }

  /** One problem per broken rule. */
  rules(path: string, value: string, broken: readonly string[]): void {
    for (const rule of broken) this.invalid(path, value, rule);
  }

  nonNegative(path: string, value: number | undefined): void {
    if (value !== undefined && value < 0) this.invalid(path, value, 'must be greater than or equal to 0');
  }

  range(path: string, value: number | undefined, least: number, most: number): void {
    if (value !== undefined && (value < least || value > most)) {
      this.invalid(path, value, `must be between ${least} and ${most}, inclusive`);
    }
  }

  fileMode(path: string, mode: number | undefined): void {
    if (mode !== undefined && (mode < 0 || mode > 0o777)) {
      this.invalid(path, mode, 'must be a number between 0 and 0777 (octal), both inclusive');
    }
  }

  #add(path: string, message: string): void {
    this.list.push({ code: 'invalid', path, message });
  }
}

function show(value: string | number | boolean): string {
  return JSON.stringify(typeof value === 'string' && value.length > 128 ? `${value.slice(0, 125)}...` : value);
}
