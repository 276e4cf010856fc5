// A real client-go elector for tests of our own: it takes part in the election on one Lease or ConfigMap and, while it leads,
// writes a line "<name> <CLOCK_BOOTTIME in ns>" to a file every 10 ms.
//
//	elector -kubeconfig F -kind lease|configmap -namespace NS -lock NAME -name ME -acts FILE [-lease 4s -deadline 2.5s -retry 500ms]
//
// SIGTERM: gives the lock up (ReleaseOnCancel) and ends. The ConfigMap lock is written anew after the one that client-go had until
// Kubernetes 1.23 (tools/leaderelection/resourcelock/configmaplock.go): the same requests and the same bytes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

type configMapLock struct {
	client    kubernetes.Interface
	namespace string
	name      string
	identity  string
	cm        *corev1.ConfigMap
}

func (l *configMapLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	var record resourcelock.LeaderElectionRecord
	var err error
	l.cm, err = l.client.CoreV1().ConfigMaps(l.namespace).Get(ctx, l.name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	if l.cm.Annotations == nil {
		l.cm.Annotations = map[string]string{}
	}
	text, found := l.cm.Annotations[resourcelock.LeaderElectionRecordAnnotationKey]
	if found {
		if err := json.Unmarshal([]byte(text), &record); err != nil {
			return nil, nil, err
		}
	}
	return &record, []byte(text), nil
}

func (l *configMapLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	l.cm, err = l.client.CoreV1().ConfigMaps(l.namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: l.name, Namespace: l.namespace,
		Annotations: map[string]string{resourcelock.LeaderElectionRecordAnnotationKey: string(text)}}}, metav1.CreateOptions{})
	return err
}

func (l *configMapLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if l.cm == nil {
		return errors.New("configmap not initialized, call get or create first")
	}
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	l.cm.Annotations[resourcelock.LeaderElectionRecordAnnotationKey] = string(text)
	cm, err := l.client.CoreV1().ConfigMaps(l.namespace).Update(ctx, l.cm, metav1.UpdateOptions{})
	if err != nil {
		return err
	}
	l.cm = cm
	return nil
}

func (l *configMapLock) RecordEvent(string) {}
func (l *configMapLock) Identity() string   { return l.identity }
func (l *configMapLock) Describe() string   { return fmt.Sprintf("%v/%v", l.namespace, l.name) }

func bootNanos() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		log.Fatal(err)
	}
	return t.Nano()
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "")
	kind := flag.String("kind", "lease", "lease or configmap")
	namespace := flag.String("namespace", "default", "")
	lock := flag.String("lock", "", "name of the object")
	name := flag.String("name", "", "identity")
	acts := flag.String("acts", "", "file for what is done while leading")
	lease := flag.Duration("lease", 4*time.Second, "")
	deadline := flag.Duration("deadline", 2500*time.Millisecond, "")
	retry := flag.Duration("retry", 500*time.Millisecond, "")
	flag.Parse()

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.Timeout = *deadline / 2
	client := kubernetes.NewForConfigOrDie(config)
	out, err := os.OpenFile(*acts, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	var where resourcelock.Interface
	if *kind == "lease" {
		where = &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Namespace: *namespace, Name: *lock}, Client: client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: *name}}
	} else {
		where = &configMapLock{client: client, namespace: *namespace, name: *lock, identity: *name}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock: where, LeaseDuration: *lease, RenewDeadline: *deadline, RetryPeriod: *retry, ReleaseOnCancel: true, Name: *name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				for ctx.Err() == nil {
					fmt.Fprintf(out, "%s %d\n", *name, bootNanos())
					time.Sleep(10 * time.Millisecond)
				}
			},
			OnStoppedLeading: func() {},
		},
	})
}
