import { criError } from './cri-error.js';

/** A text that ends a C string early would be cut there in silence, and the program would be given another command than was asked for. */
export function checkText(verb: string, what: string, values: readonly string[]): void {
  if (values.some((value) => value.includes('\0'))) {
    throw criError('invalid-argument', `${verb}: ${what} holds a NUL byte`);
  }
}
