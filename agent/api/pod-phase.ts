/** Succeeded or Failed: a pod does not leave such a phase, but for static pods that always restart. */
export const isTerminalPhase = (phase: string | undefined): boolean => phase === 'Succeeded' || phase === 'Failed';
