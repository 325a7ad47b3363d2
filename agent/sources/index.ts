/** Where pods come from: manifests on disk, manifests of a URL, and whatever else delivers full sets. */
export type { ManifestReport, PodSource, ReportedProblem, SourceSnapshot } from './pod-source.js';
export type { ManifestOptions } from './manifest-contents.js';
export { ManifestFolder, type ManifestFolderDeps, type ManifestFolderOptions } from './manifest-folder.js';
export {
  ManifestHttp,
  ManifestHttpError,
  type ManifestHttpDeps,
  type ManifestHttpFailure,
  type ManifestHttpOptions,
} from './manifest-http.js';
export { mergeSources, type MergedSources } from './merge-sources.js';
export { apiReferences, staticPod, type StaticOrigin, type StaticPodOptions } from './static-pod.js';
