/** What is wrong between the node and its cluster. That the server is away says why heartbeats fail as well. */
export function clusterProblems(
  cluster: { readonly reachable: boolean; readonly problems: readonly string[] } | undefined,
  ofNode: string,
): readonly string[] {
  if (!cluster) return [];
  const { reachable, problems } = cluster;
  return ofNode === '' || (!reachable && problems.length > 0) ? problems : [...problems, ofNode];
}
