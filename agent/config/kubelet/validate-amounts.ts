import { sysctlPatternProblem } from '../../admission/sysctls.js';
import { thresholdProblem } from '../../eviction/thresholds.js';
import { reservationProblem } from '../../resources/node-allocatable.js';
import type { ConfigProblem } from './decode-fields.js';
import type { KubeletConfiguration } from './kubelet-configuration.js';

/** Entries of maps and lists that an agent would not start with, or that would never do anything. */
export function entryProblems(config: KubeletConfiguration): ConfigProblem[] {
  const amounts = (
    fields: readonly ('kubeReserved' | 'systemReserved' | 'evictionHard' | 'evictionSoft' | 'evictionMinimumReclaim')[],
    problemOf: (name: string, amount: string, field: string) => string | undefined,
  ): ConfigProblem[] =>
    fields.flatMap((field) =>
      Object.entries(config[field] ?? {}).flatMap(([name, amount]) => {
        const message = problemOf(name, amount, field);
        return message === undefined ? [] : [{ path: `${field}.${name}`, message }];
      }),
    );
  const sysctls = config.allowedUnsafeSysctls.flatMap((pattern, index) => {
    const message = sysctlPatternProblem(pattern);
    return message === undefined ? [] : [{ path: `allowedUnsafeSysctls[${index}]`, message }];
  });
  return [
    ...amounts(['kubeReserved', 'systemReserved'], reservationProblem),
    ...amounts(['evictionHard', 'evictionSoft', 'evictionMinimumReclaim'], (_signal, text, field) =>
      thresholdProblem(text, field === 'evictionMinimumReclaim'),
    ),
    ...sysctls,
  ];
}
