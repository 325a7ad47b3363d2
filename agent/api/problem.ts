export type ProblemCode =
  | 'syntax'
  | 'not-text'
  | 'too-large'
  | 'too-deep'
  | 'too-many-values'
  | 'unsupported-kind'
  | 'unknown-field'
  | 'duplicate-key'
  | 'wrong-type'
  | 'missing'
  /** A value of the right type that the rules do not allow. */
  | 'invalid';

/** One thing that is wrong with an object, for a person to read. */
export interface ManifestProblem {
  readonly code: ProblemCode;
  /** `spec.containers[0].image`; empty for the object as a whole. */
  readonly path: string;
  /** Both count from 1; absent where the object did not come from text. */
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  readonly message: string;
}

/** `pods/web.yaml:12:5: spec.containers[0].imagee: unknown field` */
export function problemText(problem: ManifestProblem, file?: string): string {
  const place = [file, problem.line, problem.column].filter((part) => part !== undefined).join(':');
  return [place, problem.path, problem.message].filter((part) => part !== '').join(': ');
}

/** Appends a field to a path: plain names with a dot, others quoted in brackets. */
export function fieldPath(path: string, field: string): string {
  if (!/^[\w-]+$/.test(field))
    return `${path}[${JSON.stringify(field.length > 80 ? `${field.slice(0, 77)}...` : field)}]`;
  return path === '' ? field : `${path}.${field}`;
}
