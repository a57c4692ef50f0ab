Add-AzVhd -ResourceGroupName 'GROUP' -Location 'LOCATION' -DiskName 'web' -LocalFilePath 'web.vhd' -DiskOsType Windows -DiskHyperVGeneration V1
Add-AzVhd -ResourceGroupName 'GROUP' -Location 'LOCATION' -DiskName 'd0' -LocalFilePath 'd0.vhd'
$osDisk = (Get-AzDisk -ResourceGroupName 'GROUP' -DiskName 'web').Id
$dataDisk0 = (Get-AzDisk -ResourceGroupName 'GROUP' -DiskName 'd0').Id
$image = New-AzImageConfig -Location 'LOCATION' -HyperVGeneration V1
$image = Set-AzImageOsDisk -Image $image -OsType Windows -OsState Generalized -ManagedDiskId $osDisk
$image = Add-AzImageDataDisk -Image $image -Lun 0 -ManagedDiskId $dataDisk0
$image = New-AzImage -ResourceGroupName 'GROUP' -ImageName 'web' -Image $image
