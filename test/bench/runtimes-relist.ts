import type { CriRuntime } from '../../cri/index.js';

const never = new AbortController().signal;

/** CPU of this process for one look at everything the runtime has, in milliseconds: the best of some rounds, as others use the machine too. */
export async function relistCpuMs({ runtime }: CriRuntime, rounds = 8, calls = 5): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    for (let call = 0; call < calls; call++) {
      await Promise.all([runtime.listPodSandbox({}, never), runtime.listContainers({}, never)]);
    }
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / 1000 / calls);
  }
  return best;
}
