import { getCiphers } from 'node:tls';
import { sysctlPatternProblem } from '../../admission/sysctls.js';
import { thresholdProblem } from '../../eviction/thresholds.js';
import { reservationProblem } from '../../resources/node-allocatable.js';
import { opensslCipher } from '../../serving/kubelet-api/tls/cipher-suites.js';
import type { ConfigProblem } from './decode-fields.js';
import type { KubeletConfiguration } from './kubelet-configuration.js';

/** Go still has them, and files name them; nobody gets them here. */
const outdated = /^TLS_(ECDHE_)?(ECDSA_|RSA_)?WITH_(RC4_128|3DES_EDE_CBC)_SHA$/;

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
  const suites = new Set(getCiphers());
  const ciphers = config.tlsCipherSuites.flatMap((name, index) => {
    if (suites.has(opensslCipher(name).toLowerCase()) || outdated.test(name)) return [];
    return [{ path: `tlsCipherSuites[${index}]`, message: `there is no cipher suite ${JSON.stringify(name)}` }];
  });
  const sysctls = config.allowedUnsafeSysctls.flatMap((pattern, index) => {
    const message = sysctlPatternProblem(pattern);
    return message === undefined ? [] : [{ path: `allowedUnsafeSysctls[${index}]`, message }];
  });
  return [
    ...amounts(['kubeReserved', 'systemReserved'], reservationProblem),
    ...amounts(['evictionHard', 'evictionSoft', 'evictionMinimumReclaim'], (_signal, text, field) =>
      thresholdProblem(text, field === 'evictionMinimumReclaim'),
    ),
    ...ciphers,
    ...sysctls,
  ];
}
