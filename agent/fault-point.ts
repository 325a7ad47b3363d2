/**
 * Called at named points between two deeds; tests end the process there to prove that the next start finds everything. Nothing is
 * given in production.
 */
export type FaultPoint = (name: string) => void | Promise<void>;
