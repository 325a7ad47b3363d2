import { pino } from 'pino';
import type { Logger } from '../../../../base/log.js';

/** What was logged, for tests that ask whether the reason was told. */
export class LogLines {
  text = '';
  readonly logger: Logger;

  constructor() {
    const write = (line: string): void => {
      this.text += line;
    };
    this.logger = pino({ level: 'debug', base: null }, { write });
  }
}
