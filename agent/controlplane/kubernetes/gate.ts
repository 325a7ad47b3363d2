/** Something that happens once and that many wait for. */
export class Gate {
  readonly passed: Promise<void>;
  #open = (): void => {};

  constructor() {
    this.passed = new Promise((resolve) => (this.#open = resolve));
  }

  open(): void {
    this.#open();
  }
}
