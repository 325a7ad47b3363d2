import { oomKillsInKernelLog, type OomKill } from './kernel-log.js';
import type { NodeSnapshot, UsageSnapshot } from '../stats/index.js';

export interface OomReport {
  /** Containers with new kills of their own. */
  readonly containers: readonly { readonly podUid: string; readonly container: string; readonly kills: number }[];
  /** Kills that no limit of a cgroup accounts for: the machine itself ran out of memory. */
  readonly system: readonly OomKill[];
}

/** Notices kills by the kernel from its counter: one number a look, and the containers' own and the kernel's log only when it moved. */
export class OomWatch {
  #total: number | undefined;
  /** Of the last record of the log that was looked at. */
  #sequence = -1;
  #containers = new Map<string, number>();
  readonly #kernelLog: () => readonly OomKill[] | undefined;

  /** `kernelLog`: all kills it holds, oldest first. */
  constructor(kernelLog: () => readonly OomKill[] | undefined = oomKillsInKernelLog) {
    this.#kernelLog = kernelLog;
  }

  /** Undefined while nothing new happened. `details` is asked only then. */
  look({ oomKills }: NodeSnapshot, details: () => UsageSnapshot): OomReport | undefined {
    const before = this.#total;
    this.#total = oomKills;
    if (before !== undefined && oomKills <= before) return undefined;
    const seen = new Map<string, number>();
    const containers = details().pods.flatMap(({ pod, containers: own }) =>
      own.flatMap(({ container, usage }) => {
        const count = usage.oomKills ?? 0;
        seen.set(container.id, count);
        const kills = count - (this.#containers.get(container.id) ?? 0);
        return kills > 0 ? [{ podUid: pod.uid, container: container.name, kills }] : [];
      }),
    );
    this.#containers = seen;
    // The first look learns what was before the agent.
    if (before === undefined) {
      if (oomKills > 0) this.#newKills();
      return undefined;
    }
    // A container that was killed may be gone with its counter; the log says whose limit each kill was for.
    const kills = this.#newKills();
    return { containers, system: kills.filter(({ system }) => system) };
  }

  #newKills(): readonly OomKill[] {
    const kills = (this.#kernelLog() ?? []).filter(({ sequence }) => sequence > this.#sequence);
    this.#sequence = kills.at(-1)?.sequence ?? this.#sequence;
    return kills;
  }
}
