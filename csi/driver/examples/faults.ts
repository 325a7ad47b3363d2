import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** What goes wrong with one method; so a test can see how an agent takes it. */
export interface Fault {
  /** `fail` answers with `code`; `hang` never answers; `exit` kills the driver; `slow` answers after `ms`. */
  readonly action: 'fail' | 'hang' | 'exit' | 'slow';
  /** Before the deed (it is not done) or after it (it is done, and the answer is lost). */
  readonly when: 'before' | 'after';
  readonly code?: number;
  readonly message?: string;
  readonly ms?: number;
  /** How many calls go wrong; for ever when absent. */
  readonly times?: number;
}

/** Thrown to answer with a status of the test's choice. */
export class FaultError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * The file `{"NodeStageVolume": {"action": "fail", "when": "after", "code": 14, "times": 1}}`, read at every call, so that a
 * test can change it while the driver runs. A count lives in the file: it survives a fault that kills the driver.
 */
export class Faults {
  readonly #path: string | undefined;

  constructor(path: string | undefined) {
    this.#path = path;
  }

  async at(method: string, when: Fault['when']): Promise<void> {
    const fault = this.#take(method, when);
    switch (fault?.action) {
      case undefined:
        return;
      case 'slow':
        await delay(fault.ms ?? 1000);
        return;
      case 'hang':
        await new Promise<never>(() => {});
        return;
      case 'exit':
        process.kill(process.pid, 'SIGKILL');
        return;
      case 'fail':
        throw new FaultError(fault.code ?? 14, fault.message ?? `the fault switch of ${method} is on`);
    }
  }

  #take(method: string, when: Fault['when']): Fault | undefined {
    if (this.#path === undefined) return undefined;
    let faults: Record<string, Fault>;
    try {
      faults = JSON.parse(readFileSync(this.#path, 'utf8')) as Record<string, Fault>;
    } catch {
      return undefined;
    }
    const fault = faults[method];
    if (fault === undefined || fault.when !== when) return undefined;
    if (fault.times !== undefined) {
      const left = { ...faults, [method]: { ...fault, times: fault.times - 1 } };
      if (fault.times <= 1) delete left[method];
      writeFileSync(this.#path, JSON.stringify(left));
    }
    return fault;
  }
}
