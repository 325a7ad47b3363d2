import { StepError } from '../executors/step-error.js';
import type { Pod } from '../api/index.js';

export interface PodHostname {
  /** What `hostname` prints; empty with the host's network. */
  readonly hostname: string;
  /** The name alone, also where `hostname` prints the full one. */
  readonly short: string;
  /** `host.subdomain.namespace.svc.domain`, empty without a subdomain. */
  readonly fqdn: string;
}

const longest = { label: 63, kernel: 64 };

/** Hostname and full name of a pod (facts 7.4). */
export function podHostname(pod: Pod, clusterDomain: string): PodHostname {
  const { spec, metadata } = pod;
  if (spec?.hostNetwork === true) return { hostname: '', short: '', fqdn: '' };
  if (spec?.hostnameOverride) return alone(trimLabel(spec.hostnameOverride));
  const short = spec?.hostname || trimLabel(metadata?.name ?? '');
  const subdomain = spec?.subdomain ?? '';
  const fqdn =
    subdomain === ''
      ? ''
      : [short, subdomain, metadata?.namespace ?? 'default', 'svc', clusterDomain].filter(Boolean).join('.');
  if (spec?.setHostnameAsFQDN !== true || fqdn === '') return { ...alone(short), fqdn };
  if (fqdn.length > longest.kernel) {
    throw new StepError(
      'FailedCreatePodSandBox',
      `failed to construct FQDN from pod hostname and cluster domain, FQDN ${fqdn} is too long (64 characters is the max, ${fqdn.length} characters requested)`,
    );
  }
  return { hostname: fqdn, short, fqdn };
}

const alone = (short: string): PodHostname => ({ hostname: short, short, fqdn: '' });

/** A pod name may be longer than a host name label; what is cut must not end in a separator. */
function trimLabel(name: string): string {
  return name.length <= longest.label ? name : name.slice(0, longest.label).replace(/[-.]+$/, '');
}
