#!/bin/bash
# Start a SLURM of two nodes on this machine, run what is given with it, and end it:
#
#   apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins
#   scripts/slurm_test.sh python -m pytest -n 0 -m slurm
#
# Needs root. Nothing is left behind but munge's daemon, where none ran before.
set -euo pipefail
folder=$(mktemp -d)
host=$(hostname -s)
mkdir -p "$folder"/{state,log,spool/n1,spool/n2}

if ! munge -n >/dev/null 2>&1; then
    install -d -o munge -g munge -m 0755 /run/munge
    runuser -u munge -- /usr/sbin/munged
fi

cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
JobRequeue=1
KillWait=10
MinJobAge=600
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobcomp.txt
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
StateSaveLocation=$folder/state
SlurmctldPort=26917
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmdSpoolDir=$folder/spool/%n
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd-%n.log
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=26921 CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=26922 CPUs=2 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=test Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
PartitionName=spare Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=30
PartitionName=now Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=3 PreemptMode=OFF
CONF
export SLURM_CONF=$folder/slurm.conf

finish() {
    scancel --user=root >/dev/null 2>&1 || true
    for name in slurmd-n1 slurmd-n2 slurmctld; do
        [ -f "$folder/$name.pid" ] && kill "$(cat "$folder/$name.pid")" 2>/dev/null || true
    done
    sleep 1
    rm -rf "$folder"
}
trap finish EXIT

/usr/sbin/slurmctld -f "$SLURM_CONF"
for node in n1 n2; do
    /usr/sbin/slurmd -f "$SLURM_CONF" -N "$node"
done
for _ in $(seq 60); do
    [ "$(sinfo -h -t idle -o %D)" = 2 ] && break
    sleep 0.5
done
sinfo
"$@"
