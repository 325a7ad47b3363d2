import type { Clock } from '../../base/clock.js';
import type { NodeCondition } from '../api/index.js';
import type { PressureCondition } from '../eviction/index.js';
import { nodeConditions, type Readiness } from './node-conditions.js';

export interface LiveConditionsDeps {
  readonly clock: Clock;
  pressures(): ReadonlySet<PressureCondition>;
  readiness(): Readiness;
  /** A condition is another than before. */
  turned(before: readonly NodeCondition[], now: readonly NodeCondition[]): void;
}

/** The node's conditions with the times they turned, on every machine, whether or not a cluster keeps them. */
export class LiveConditions {
  readonly #deps: LiveConditionsDeps;
  #conditions: readonly NodeCondition[];

  constructor(deps: LiveConditionsDeps) {
    this.#deps = deps;
    this.#conditions = this.#read([]);
  }

  get current(): readonly NodeCondition[] {
    this.changed();
    return this.#conditions;
  }

  /** Something the conditions are made of may be another: a time that is told is that of the change, not that of the question. */
  changed(): void {
    const before = this.#conditions;
    this.#conditions = this.#read(before);
    if (this.#conditions.some(({ status }, index) => status !== before[index]?.status))
      this.#deps.turned(before, this.#conditions);
  }

  #read(before: readonly NodeCondition[]): readonly NodeCondition[] {
    const { clock } = this.#deps;
    return nodeConditions(this.#deps.pressures(), this.#deps.readiness(), before, clock.now());
  }
}
