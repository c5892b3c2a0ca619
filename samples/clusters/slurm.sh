#!/bin/bash
# Four tasks draw a quarter of a campaign each into a shared folder, and a fifth job finishes it:
#   sbatch slurm.sh campaign.toml out
#SBATCH --job-name=campaign
#SBATCH --array=1-4
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
#SBATCH --requeue
set -euo pipefail
campaign=$1 out=$2

if [[ ${SLURM_ARRAY_TASK_ID} == "${SLURM_ARRAY_TASK_MIN}" && ${SLURM_RESTART_COUNT:-0} == 0 ]]; then
    # However they end: merging says what is missing, and does without a picture that cannot be drawn.
    sbatch --dependency="afterany:${SLURM_ARRAY_JOB_ID}" --cpus-per-task=2 --mem=2G \
        --wrap="plantain batch merge '${campaign}' --out '${out}'"
fi
# Slurm tells plantain which shard this is, and of how many.
exec plantain batch "${campaign}" --out "${out}" --quiet
