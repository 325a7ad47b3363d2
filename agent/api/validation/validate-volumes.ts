import type { FieldProblems } from './field-problems.js';
import type {
  DownwardAPIVolumeFile,
  KeyToPath,
  PodSpec,
  ProjectedVolumeSource,
  ServiceAccountTokenProjection,
  Volume,
  VolumeProjection,
} from '../generated/types.js';
import { dnsLabel, dnsSubdomain, noBacksteps, volumeFilePath } from './name-rules.js';
import { fieldPath } from '../problem.js';
import { exactQuantity } from '../quantity.js';
import { validatePodCertificate } from './validate-certificates.js';
import { volumeSources } from '../volume-sources.js';
import { validateFieldRef, validateReference, validateResourceFieldRef, volumeFields } from './validate-env.js';

/** Checks all volumes; returns them by name, broken ones too, so that one mistake is not reported at each mount again. */
export function validateVolumes(problems: FieldProblems, spec: PodSpec, podName: string): Map<string, Volume> {
  const volumes = new Map<string, Volume>();
  const madeClaims = new Set(
    (spec.volumes ?? [])
      .filter((volume) => volume.ephemeral !== undefined)
      .map((volume) => `${podName}-${volume.name}`),
  );
  for (const [index, volume] of (spec.volumes ?? []).entries()) {
    const path = `spec.volumes[${index}]`;
    if (volume.name === '') problems.required(`${path}.name`);
    else problems.rules(`${path}.name`, volume.name, dnsLabel(volume.name));
    if (volumes.has(volume.name)) problems.duplicate(`${path}.name`, volume.name);
    volumes.set(volume.name, volume);
    const sources = volumeSources(volume);
    if (sources.length === 0) problems.required(path, 'must specify a volume type');
    for (const source of sources.slice(1))
      problems.forbidden(`${path}.${source}`, 'may not specify more than 1 volume type');
    validateSource(problems, volume, path);
    const claim = volume.persistentVolumeClaim?.claimName;
    if (claim !== undefined && madeClaims.has(claim)) {
      const rule = 'must not reference a PVC that gets created for an ephemeral volume';
      problems.invalid(`${path}.persistentVolumeClaim.claimName`, claim, rule);
    }
  }
  return volumes;
}

function validateSource(problems: FieldProblems, volume: Volume, path: string): void {
  const { emptyDir, hostPath, configMap, secret, downwardAPI, projected, image } = volume;
  if (emptyDir?.sizeLimit !== undefined && exactQuantity(emptyDir.sizeLimit).nanos < 0n) {
    problems.forbidden(`${path}.emptyDir.sizeLimit`, 'SizeLimit field must be a valid resource quantity');
  }
  if (emptyDir?.medium !== undefined && !/^(?:|Memory|HugePages(?:-.+)?)$/.test(emptyDir.medium)) {
    problems.notSupported(`${path}.emptyDir.medium`, emptyDir.medium, ['', 'Memory', 'HugePages', 'HugePages-<size>']);
  }
  if (hostPath !== undefined) {
    if (hostPath.path === '') problems.required(`${path}.hostPath.path`);
    else problems.rules(`${path}.hostPath.path`, hostPath.path, noBacksteps(hostPath.path));
  }
  if (configMap !== undefined) {
    validateReference(problems, configMap.name, `${path}.configMap.name`);
    problems.fileMode(`${path}.configMap.defaultMode`, configMap.defaultMode);
    validateItems(problems, configMap.items, `${path}.configMap.items`);
  }
  if (secret !== undefined) {
    validateReference(problems, secret.secretName, `${path}.secret.secretName`);
    problems.fileMode(`${path}.secret.defaultMode`, secret.defaultMode);
    validateItems(problems, secret.items, `${path}.secret.items`);
  }
  if (downwardAPI !== undefined) {
    problems.fileMode(`${path}.downwardAPI.defaultMode`, downwardAPI.defaultMode);
    validateDownwardFiles(problems, downwardAPI.items, `${path}.downwardAPI.items`);
  }
  if (projected !== undefined) validateProjected(problems, projected, `${path}.projected`);
  if (image !== undefined && (image.reference ?? '') === '') problems.required(`${path}.image.reference`);
  validateStorageSource(problems, volume, path);
}

function validateStorageSource(problems: FieldProblems, volume: Volume, path: string): void {
  const { persistentVolumeClaim, nfs, iscsi, flexVolume, csi, ephemeral } = volume;
  if (persistentVolumeClaim?.claimName === '') problems.required(`${path}.persistentVolumeClaim.claimName`);
  if (nfs !== undefined) {
    if (nfs.server === '') problems.required(`${path}.nfs.server`);
    if (nfs.path === '') problems.required(`${path}.nfs.path`);
    else if (!nfs.path.startsWith('/')) problems.invalid(`${path}.nfs.path`, nfs.path, 'must be an absolute path');
  }
  if (iscsi !== undefined) {
    if (iscsi.targetPortal === '') problems.required(`${path}.iscsi.targetPortal`);
    if (!/^(?:iqn\.|eui\.|naa\.)/.test(iscsi.iqn))
      problems.invalid(`${path}.iscsi.iqn`, iscsi.iqn, 'must be valid format');
    problems.range(`${path}.iscsi.lun`, iscsi.lun, 0, 255);
  }
  if (flexVolume !== undefined) {
    if (flexVolume.driver === '') problems.required(`${path}.flexVolume.driver`);
    validateFlexOptions(problems, flexVolume.options ?? {}, `${path}.flexVolume.options`);
  }
  if (csi !== undefined) validateCsiDriverName(problems, csi.driver, `${path}.csi.driver`);
  if (ephemeral !== undefined) {
    const at = `${path}.ephemeral.volumeClaimTemplate`;
    const claim = ephemeral.volumeClaimTemplate;
    if (claim === undefined) problems.required(at);
    else {
      if ((claim.spec.accessModes ?? []).length === 0)
        problems.required(`${at}.spec.accessModes`, 'at least 1 access mode is required');
      if (claim.spec.resources?.requests?.['storage'] === undefined)
        problems.required(`${at}.spec.resources.requests.storage`);
    }
  }
}

export function validateCsiDriverName(problems: FieldProblems, driver: string, path: string): void {
  if (driver === '') return problems.required(path);
  if (driver.length > 63) problems.invalid(path, driver, 'Too long: may not be more than 63 bytes');
  problems.rules(path, driver, dnsSubdomain(driver.toLowerCase()));
}

export function validateFlexOptions(
  problems: FieldProblems,
  options: Readonly<Record<string, string>>,
  path: string,
): void {
  for (const key of Object.keys(options)) {
    const namespace = key.split('/', 1)[0] ?? key;
    if (/\.(?:kubernetes|k8s)\.io$/i.test(`.${namespace}`)) {
      problems.invalid(fieldPath(path, key), key, 'kubernetes.io and k8s.io namespaces are reserved');
    }
  }
}

function validateItems(problems: FieldProblems, items: readonly KeyToPath[] | undefined, path: string): void {
  for (const [index, item] of (items ?? []).entries()) {
    const at = `${path}[${index}]`;
    if (item.key === '') problems.required(`${at}.key`);
    validateFile(problems, item, at);
  }
}

function validateFile(problems: FieldProblems, file: { path: string; mode?: number | undefined }, path: string): void {
  if (file.path === '') problems.required(`${path}.path`);
  else problems.rules(`${path}.path`, file.path, volumeFilePath(file.path));
  problems.fileMode(`${path}.mode`, file.mode);
}

function validateDownwardFiles(
  problems: FieldProblems,
  files: readonly DownwardAPIVolumeFile[] | undefined,
  path: string,
): void {
  for (const [index, file] of (files ?? []).entries()) {
    const at = `${path}[${index}]`;
    validateFile(problems, file, at);
    const { fieldRef, resourceFieldRef } = file;
    if (fieldRef !== undefined) validateFieldRef(problems, fieldRef, volumeFields, `${at}.fieldRef`);
    if (resourceFieldRef !== undefined)
      validateResourceFieldRef(problems, resourceFieldRef, `${at}.resourceFieldRef`, true);
    if (fieldRef === undefined && resourceFieldRef === undefined) {
      problems.required(at, 'one of fieldRef and resourceFieldRef is required');
    } else if (fieldRef !== undefined && resourceFieldRef !== undefined) {
      problems.invalid(at, undefined, 'fieldRef and resourceFieldRef can not be specified simultaneously');
    }
  }
}

function validateProjected(problems: FieldProblems, projected: ProjectedVolumeSource, path: string): void {
  problems.fileMode(`${path}.defaultMode`, projected.defaultMode);
  const taken = new Set<string>();
  for (const [index, source] of (projected.sources ?? []).entries()) {
    const at = `${path}.sources[${index}]`;
    const kinds = Object.values(source).filter((value) => value !== undefined);
    if (kinds.length > 1) problems.forbidden(at, 'may not specify more than 1 volume type per source');
    validateProjection(problems, source, at);
    for (const file of projectedPaths(source)) {
      if (taken.has(file)) problems.invalid(path, file, 'conflicting duplicate paths');
      taken.add(file);
    }
  }
}

function validateProjection(problems: FieldProblems, source: VolumeProjection, path: string): void {
  const { secret, configMap, downwardAPI, serviceAccountToken, clusterTrustBundle, podCertificate } = source;
  if (secret !== undefined) {
    validateReference(problems, secret.name, `${path}.secret.name`);
    validateItems(problems, secret.items, `${path}.secret.items`);
  }
  if (configMap !== undefined) {
    validateReference(problems, configMap.name, `${path}.configMap.name`);
    validateItems(problems, configMap.items, `${path}.configMap.items`);
  }
  if (downwardAPI !== undefined) validateDownwardFiles(problems, downwardAPI.items, `${path}.downwardAPI.items`);
  if (serviceAccountToken !== undefined) validateToken(problems, serviceAccountToken, `${path}.serviceAccountToken`);
  if (clusterTrustBundle !== undefined) {
    const at = `${path}.clusterTrustBundle`;
    const { name, signerName, labelSelector } = clusterTrustBundle;
    if (name === undefined && signerName === undefined)
      problems.required(at, 'either name or signerName must be specified');
    if (name !== undefined && signerName !== undefined) {
      problems.invalid(at, undefined, 'only one of name and signerName may be used');
    } else if (name !== undefined && labelSelector !== undefined) {
      problems.invalid(`${at}.labelSelector`, undefined, 'labelSelector must be unset if name is specified');
    }
    validateFile(problems, clusterTrustBundle, at);
  }
  if (podCertificate !== undefined) validatePodCertificate(problems, podCertificate, `${path}.podCertificate`);
}

function validateToken(problems: FieldProblems, token: ServiceAccountTokenProjection, path: string): void {
  const { expirationSeconds } = token;
  if (expirationSeconds !== undefined && expirationSeconds < 600) {
    problems.invalid(`${path}.expirationSeconds`, expirationSeconds, 'may not specify a duration less than 10 minutes');
  }
  if (expirationSeconds !== undefined && expirationSeconds > 2 ** 32) {
    problems.invalid(
      `${path}.expirationSeconds`,
      expirationSeconds,
      'may not specify a duration larger than 2^32 seconds',
    );
  }
  validateFile(problems, token, path);
}

function projectedPaths(source: VolumeProjection): string[] {
  const { secret, configMap, downwardAPI, serviceAccountToken, clusterTrustBundle, podCertificate } = source;
  const files = [...(secret?.items ?? []), ...(configMap?.items ?? []), ...(downwardAPI?.items ?? [])];
  const { credentialBundlePath, keyPath, certificateChainPath } = podCertificate ?? {};
  const paths = [...files, serviceAccountToken, clusterTrustBundle].map((file) => file?.path);
  return [...paths, credentialBundlePath, keyPath, certificateChainPath].filter(
    (path): path is string => path !== undefined && path !== '',
  );
}
