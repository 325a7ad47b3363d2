import { readdirSync, watch, type FSWatcher } from 'node:fs';
import type { RuntimeContext } from '../context.js';
import { settleFromExitFile } from './settle-exit.js';

/** One watch on the folder in which every conmon puts its exit file. */
export class ExitWatcher implements Disposable {
  readonly #context: RuntimeContext;
  readonly #watcher: FSWatcher;

  constructor(context: RuntimeContext) {
    this.#context = context;
    this.#watcher = watch(context.layout.exits, (_event, name) => {
      if (name === null) this.lookAtAll();
      else this.#look(name);
    });
    this.#watcher.on('error', (err) => {
      context.deps.log.error(
        { err, path: context.layout.exits },
        'watch on exit files failed, ends are found when asked',
      );
    });
  }

  /** For what was written before the watch began. */
  lookAtAll(): void {
    for (const name of readdirSync(this.#context.layout.exits)) this.#look(name);
  }

  /** The name may be that of conmon's temporary file, or of a container that is gone: both mean nothing. */
  #look(name: string): void {
    const { containers, inits, deps } = this.#context;
    const entry = containers.get(name) ?? inits.get(name);
    if (entry === undefined || entry.phase.kind === 'creating' || entry.phase.kind === 'exited') return;
    try {
      settleFromExitFile(this.#context, entry);
    } catch (err) {
      deps.log.error({ err, containerId: name }, 'exit file unreadable');
    }
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}
