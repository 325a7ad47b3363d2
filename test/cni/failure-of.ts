import { CniError, type CniFailure } from '../../cni/index.js';

/** The failure a call rejects with; anything else fails the test. */
export async function failureOf(promise: Promise<unknown>): Promise<CniFailure> {
  return (await errorOf(promise)).failure;
}

export async function errorOf(promise: Promise<unknown>): Promise<CniError> {
  const err = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(err instanceof CniError)) throw new Error(`expected a CniError, got ${String(err)}`, { cause: err });
  return err;
}
