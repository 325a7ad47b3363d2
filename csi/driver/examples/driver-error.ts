/** The gRPC codes this driver answers with. */
const numbers = {
  INVALID_ARGUMENT: 3,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  INTERNAL: 13,
} as const;

/** Thrown by a method to answer with a gRPC status. */
export class DriverError extends Error {
  readonly code: number;

  constructor(code: keyof typeof numbers, message: string) {
    super(message);
    this.code = numbers[code];
  }
}

/** For a field the specification requires. */
export function required(value: string | undefined, field: string): string {
  if (value === undefined || value === '') throw new DriverError('INVALID_ARGUMENT', `${field} is missing`);
  return value;
}
