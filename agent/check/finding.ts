/** What was found about one thing a node needs. */
export interface Finding {
  /** Program, kernel feature, folder, port: what it is about. */
  readonly subject: string;
  /** `lack`: pods cannot run. `note`: something is less good than it could be. */
  readonly level: 'ok' | 'note' | 'lack';
  readonly found: string;
  /** Commands or sentences that would change it; empty when it is ok. */
  readonly remedy: readonly string[];
}

export const ok = (subject: string, found: string): Finding => ({ subject, level: 'ok', found, remedy: [] });
export const note = (subject: string, found: string, ...remedy: readonly string[]): Finding => ({
  subject,
  level: 'note',
  found,
  remedy,
});
export const lack = (subject: string, found: string, ...remedy: readonly string[]): Finding => ({
  subject,
  level: 'lack',
  found,
  remedy,
});
