import type { ClientFlags } from '../command-context.js';
import type { OutputFlags } from '../output/print-objects.js';
import type { ChoiceFlags } from './choose-items.js';
import type { FindFlags } from './found-resources.js';

export interface GetFlags extends ClientFlags, OutputFlags, ChoiceFlags {
  readonly namespace?: string | undefined;
  readonly allNamespaces?: boolean | undefined;
  readonly watch?: boolean | undefined;
  readonly watchOnly?: boolean | undefined;
  readonly showValues?: boolean | undefined;
  readonly ignoreNotFound?: boolean | undefined;
}

export const findFlags = (flags: GetFlags): FindFlags => ({
  namespace: flags.allNamespaces ? undefined : (flags.namespace ?? 'default'),
  wide: flags.output === 'wide',
  showValues: flags.showValues === true,
});
